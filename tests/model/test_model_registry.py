"""What holds for every model in the registry, one that is added later included."""

from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.model.staged import Staged, check
from trainer.registry import MODELS, REQUIRED, entries

OPTIONS: dict[str, dict[str, Any]] = {
    "backbone": {"arch": "resnet18"},
    "timm": {"arch": "resnet18"},
    "waste_sorter": {"image_size": 48},  # made for 225 pixels, which would take long
    "zfnet": {"hidden": 32},  # 4096 would take long
}
"""What a model must be told, or is told to be small."""
PIXELS = {"waste_sorter": 48, "zfnet": 56}
NAMES = sorted(set(entries("model")) - (set() if find_spec("timm") else {"timm"}))
COMPUTED = [name for name in NAMES if name not in ("xresnet34", "xresnet101")]
"""Without more of what xresnet18 and xresnet50 are made of, whose tens of millions of weights take long to draw."""


def build(name: str, num_classes: int = 5, in_channels: int = 3) -> Staged:
    model: Staged = MODELS.builder(name)(num_classes, in_channels, **OPTIONS.get(name, {}))
    return model


def images_for(name: str, in_channels: int = 3) -> Tensor:
    """Two images; of 40 pixels by default, so that the last batch norm sees two values a channel and more."""
    return torch.randn(2, in_channels, PIXELS.get(name, 40), PIXELS.get(name, 40))


def biased_before_norm(model: nn.Module, images: Tensor) -> list[str]:
    """Names of layers with a bias whose next layer in order of execution is a batch norm."""
    order: list[tuple[str, nn.Module]] = []
    layers = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: order.append((name, layer)))
        for name, layer in layers
    ]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    return [
        name
        for (name, layer), (_, follower) in pairwise(order)
        if isinstance(layer, nn.Conv2d | nn.Linear)
        and layer.bias is not None
        and isinstance(follower, nn.BatchNorm2d | nn.BatchNorm1d)
    ]


def test_every_model_with_a_required_option_is_built_by_these_tests() -> None:
    needy = {
        name for name, entry in entries("model").items() if REQUIRED in [o.default for o in entry.options.values()]
    }
    assert needy <= set(OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_stages_hold_every_parameter_exactly_once(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    held = [id(parameter) for stage in model.stages for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_stages_go_from_the_stem_to_the_head(name: str) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=5)
    stem, head = model.stages[0], model.stages[-1]
    first = next(layer for layer in stem.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    assert first.weight.shape[1] in (3, 3 * 16 * 16)  # of mlp: all the pixels
    assert [parameter.shape[0] for parameter in head.parameters()][-1] == 5


@pytest.mark.parametrize("in_channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("name", COMPUTED)
def test_two_images_give_logits_and_every_parameter_a_finite_gradient(name: str, in_channels: int) -> None:
    torch.manual_seed(0)
    model = build(name, in_channels=in_channels).train()
    logits = model(images_for(name, in_channels))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())


@pytest.mark.parametrize("name", COMPUTED)
def test_no_layer_before_a_batch_norm_has_a_bias(name: str) -> None:
    assert biased_before_norm(build(name), images_for(name)) == []


@pytest.mark.parametrize("name", [name for name in NAMES if "batch_norm" in entries("model")[name].options])
def test_with_batch_norm_too_no_layer_before_it_has_a_bias(name: str) -> None:
    model = MODELS.builder(name)(5, 3, **OPTIONS.get(name, {}), batch_norm=True)
    assert any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in model.modules())
    assert biased_before_norm(model, images_for(name)) == []


def test_a_bias_before_a_batch_norm_would_be_found() -> None:
    assert biased_before_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), images_for("small_cnn")) == ["0"]


@pytest.mark.parametrize("name", COMPUTED)
def test_channels_last_gives_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    model, images = build(name).eval(), images_for(name)
    with torch.no_grad():
        expected: Tensor = model(images)
        model.to(memory_format=torch.channels_last)
        found: Tensor = model(images.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_check_before_a_run_passes_and_changes_nothing(name: str) -> None:
    model = build(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    check(model, images_for(name), num_classes=5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
