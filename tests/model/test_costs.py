"""The summary of a model: every parameter once, multiply-adds as by hand."""

import pytest
import torch
from torch import Tensor, nn

from trainer.model.backbone import backbone
from trainer.model.costs import Layer, layers_of
from trainer.model.lenet import lenet
from trainer.model.waste_sorter import waste_sorter
from trainer.model.xresnet import xresnet18


def by_name(layers: list[Layer]) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers}


def conv_cost(before: int, after: int, kernel: int, side: int) -> int:
    """Multiply-adds of a convolution: for each value of its output, one for each weight that makes it."""
    return after * side * side * before * kernel * kernel


def test_lenet_costs_what_its_layers_cost_by_hand() -> None:
    layers = by_name(layers_of(lenet(10, 1), torch.zeros(3, 1, 28, 28)))
    found = {name: (layer.shape, layer.parameters, layer.multiply_adds) for name, layer in layers.items()}
    assert found == {
        "conv1.0": ((6, 28, 28), 6 * 25 + 6, conv_cost(1, 6, 5, 28)),
        "conv1.2": ((6, 14, 14), 0, 0),
        "conv2.0": ((16, 10, 10), 16 * 6 * 25 + 16, conv_cost(6, 16, 5, 10)),
        "conv2.2": ((16, 5, 5), 0, 0),
        "conv2.4": ((400,), 0, 0),
        "dense1.0": ((120,), 400 * 120 + 120, 400 * 120),
        "dense2.0": ((84,), 120 * 84 + 84, 120 * 84),
        "head": ((10,), 84 * 10 + 10, 84 * 10),
    }


def test_the_waste_sorter_has_the_parameters_a_layer_that_its_formula_gives() -> None:
    with torch.device("meta"):
        model, images = waste_sorter(2, 3), torch.zeros(1, 3, 225, 225)
        layers = by_name(layers_of(model, images))
    assert [layers[name].parameters for name in ("conv1.0", "conv2.0", "dense.0", "head")] == [
        16 * 16 * 3 * 64 + 64,
        8 * 8 * 64 * 32 + 32,
        21 * 21 * 32 * 128 + 128,
        128 * 2 + 2,
    ]
    assert layers["conv1.0"].shape == (64, 210, 210) and layers["conv2.0"].shape == (32, 63, 63)
    assert sum(layer.multiply_adds for layer in layers.values()) == (
        conv_cost(3, 64, 16, 210) + conv_cost(64, 32, 8, 63) + 21 * 21 * 32 * 128 + 128 * 2
    )


def xresnet18_cost(pixels: int, num_classes: int) -> int:
    half = pixels // 2
    total = conv_cost(3, 32, 3, half) + conv_cost(32, 32, 3, half) + conv_cost(32, 64, 3, half)
    side, before = pixels // 4, 64
    for width in (64, 128, 256, 512):
        side //= 1 if width == 64 else 2
        total += conv_cost(before, width, 3, side) + 3 * conv_cost(width, width, 3, side)
        total += conv_cost(before, width, 1, side) if before != width else 0
        before = width
    return total + 512 * num_classes


def test_xresnet18_costs_what_the_formula_gives_and_has_every_parameter_once() -> None:
    with torch.device("meta"):
        model = xresnet18(10, 3)
        layers = layers_of(model, torch.zeros(2, 3, 64, 64))
    assert sum(layer.multiply_adds for layer in layers) == xresnet18_cost(64, 10)
    assert sum(layer.parameters for layer in layers) == sum(each.numel() for each in model.parameters())


class Attends(nn.Module):
    """Self-attention over 5 tokens of 8 numbers, a parameter that no layer holds, and a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(2).transpose(1, 2) + self.token  # (B, 5, 8)
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


def test_attention_counts_its_products_and_parameters_outside_of_layers_are_listed() -> None:
    layers = by_name(layers_of(Attends(), torch.randn(4, 8, 5, 1)))
    tokens, width = 5, 8
    assert layers["attention"].multiply_adds == 4 * tokens * width**2 + 2 * tokens**2 * width
    assert layers["attention"].parameters + layers["attention.out_proj"].parameters == 4 * width**2 + 4 * width
    assert layers["(model)"].parameters == 8
    assert layers["unused"].parameters == 12 and layers["unused"].shape == ()


def test_a_layer_that_runs_twice_costs_twice_and_holds_once() -> None:
    shared = nn.Linear(6, 6)
    layers = layers_of(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(2, 6))
    assert [(layer.parameters, layer.multiply_adds) for layer in layers] == [(42, 36), (0, 36)]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["mobilenet_v3_small", "vit_b_16", "densenet121"])
def test_every_parameter_of_a_torchvision_net_is_listed_once(arch: str) -> None:
    with torch.device("meta"):
        model = backbone(10, 3, arch=arch)
        layers = layers_of(model, torch.zeros(1, 3, 224, 224))
    assert sum(layer.parameters for layer in layers) == sum(each.numel() for each in model.parameters())
    assert sum(layer.multiply_adds for layer in layers) > 10**7


def test_the_model_is_left_as_it_was() -> None:
    model = xresnet18(3, 3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers_of(model, torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())
