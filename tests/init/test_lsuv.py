"""LSUV: every output at mean 0 and variance 1, in order of execution."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from trainer.init.lsuv import lsuv

BATCH = torch.randn(32, 3, 12, 12, generator=torch.Generator().manual_seed(7)) * 3 + 2


def plain_net(depth: int = 12, bias: bool = True) -> nn.Sequential:
    """Deep, without a norm: what LSUV is for."""
    torch.manual_seed(1)
    convs = [nn.Conv2d(3 if number == 0 else 16, 16, 3, padding=1, bias=bias) for number in range(depth)]
    layers = [layer for conv in convs for layer in (conv, nn.ReLU(inplace=True))]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


class Backwards(nn.Module):
    """Runs its layers in the opposite order of their definition."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.middle, self.first = nn.Linear(20, 5), nn.Linear(30, 20), nn.Linear(10, 30)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.middle(self.first(x).relu()).relu())
        return out


def outputs(model: nn.Module, batch: Tensor) -> list[tuple[float, float]]:
    """(mean, variance) of each convolution's and linear layer's output, in float64, in order of execution."""
    found: list[tuple[float, float]] = []

    def record(layer: nn.Module, inputs: object, output: Tensor) -> None:
        values = output.double()
        found.append((float(values.mean()), float((values - values.mean()).square().mean())))

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    return found


def all_standard(found: Iterable[tuple[float, float]]) -> bool:
    return all(abs(mean) < 0.01 and abs(variance - 1) < 0.01 for mean, variance in found)


def test_every_output_of_a_deep_plain_net_has_mean_0_and_variance_1() -> None:
    model = plain_net()
    lsuv(model, BATCH)
    assert len(outputs(model, BATCH)) == 13
    assert all_standard(outputs(model, BATCH))


def test_the_default_initialisation_of_the_same_net_fades() -> None:
    found = outputs(plain_net(), BATCH)
    assert not all_standard(found)
    assert found[-1][1] < 0.1


def test_layers_are_taken_in_order_of_execution_not_of_definition() -> None:
    torch.manual_seed(0)
    model, batch = Backwards(), torch.randn(256, 10) * 5
    lsuv(model, batch)
    assert all_standard(outputs(model, batch))


def test_in_order_of_definition_the_outputs_would_be_wrong() -> None:
    torch.manual_seed(0)
    model, batch = Backwards(), torch.randn(256, 10) * 5
    for layer in (model.last, model.middle, model.first):
        found: list[Tensor] = []
        hook = layer.register_forward_hook(lambda layer, inputs, output, found=found: found.append(output))
        with torch.no_grad():
            model(batch)
            layer.weight.div_(found[0].std())
        hook.remove()
    assert not all_standard(outputs(model, batch))


def test_without_a_bias_the_variance_is_1_all_the_same() -> None:
    model = plain_net(bias=False)
    lsuv(model, BATCH)
    assert all(variance == pytest.approx(1.0, abs=0.01) for _, variance in outputs(model, BATCH))


def gram(layer: nn.Conv2d) -> Tensor:
    """The inner products of the layer's filters, (out, out), in float64."""
    rows = layer.weight.detach().double().flatten(1)
    return rows @ rows.T


def net_behind_zero_gamma() -> tuple[nn.Sequential, nn.BatchNorm2d, nn.Conv2d]:
    """A net whose last convolution sees zeros only."""
    norm, last = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)
    nn.init.zeros_(norm.weight)
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), norm, last), norm, last


def test_weights_are_orthogonal_up_to_their_scale() -> None:
    model = plain_net(depth=3)
    lsuv(model, BATCH)
    products = [gram(layer) for layer in model if isinstance(layer, nn.Conv2d)]
    assert len(products) == 3
    for product in products:
        assert torch.allclose(product / product[0, 0], torch.eye(16, dtype=torch.float64), atol=1e-5)


def test_a_net_with_batch_norm_keeps_its_statistics_and_zero_gamma() -> None:
    model, norm, _ = net_behind_zero_gamma()
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    lsuv(model, BATCH)
    assert len(before) == 5
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


def test_a_layer_behind_a_constant_keeps_its_orthonormal_start() -> None:
    model, _, last = net_behind_zero_gamma()
    lsuv(model, BATCH)
    assert torch.allclose(gram(last), torch.eye(8, dtype=torch.float64), atol=1e-5)
    assert last.bias is not None and bool((last.bias == 0).all())


def test_a_layer_that_runs_twice_is_scaled_for_its_first_run() -> None:
    shared = nn.Linear(10, 10)
    model, batch = nn.Sequential(shared, nn.ReLU(), shared), torch.randn(128, 10) * 4
    lsuv(model, batch)
    assert all_standard(outputs(model, batch)[:1])


def test_a_layer_that_never_runs_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(10, 10))
    model.add_module("unused", nn.Identity())
    unused = nn.Linear(4, 4)
    model.get_submodule("unused").add_module("inner", unused)
    before = unused.weight.detach().clone()
    lsuv(model, torch.randn(8, 10))
    assert torch.equal(unused.weight, before)
