"""He and Xavier weights against their formulas, over enough draws that 1 % is many standard errors."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainer.init.layers import fans
from trainer.init.normal import he_normal, xavier_normal

NO_BATCH = torch.zeros(0)
# name: layer, fan_in, fan_out by hand
LAYERS: dict[str, tuple[Callable[[], nn.Conv2d | nn.Linear], int, int]] = {
    "linear": (lambda: nn.Linear(300, 200), 300, 200),
    "conv": (lambda: nn.Conv2d(48, 96, 5), 48 * 25, 96 * 25),
    "oblong": (lambda: nn.Conv2d(64, 96, (1, 7)), 64 * 7, 96 * 7),
    "grouped": (lambda: nn.Conv2d(256, 512, 3, groups=4), 64 * 9, 128 * 9),
}


def std_of(weight: Tensor) -> float:
    return float(weight.detach().double().square().mean().sqrt())


@pytest.mark.parametrize("kind", LAYERS)
def test_fans_are_as_by_hand(kind: str) -> None:
    make, fan_in, fan_out = LAYERS[kind]
    assert fans(make()) == (fan_in, fan_out)


@pytest.mark.parametrize("kind", LAYERS)
def test_he_has_variance_two_over_fan_in(kind: str) -> None:
    make, fan_in, _ = LAYERS[kind]
    torch.manual_seed(0)
    layer = make()
    he_normal(layer, NO_BATCH)
    assert std_of(layer.weight) == pytest.approx(math.sqrt(2 / fan_in), rel=0.01)


@pytest.mark.parametrize("kind", LAYERS)
def test_he_has_variance_two_over_fan_out_on_request(kind: str) -> None:
    make, _, fan_out = LAYERS[kind]
    torch.manual_seed(0)
    layer = make()
    he_normal(layer, NO_BATCH, mode="fan_out")
    assert std_of(layer.weight) == pytest.approx(math.sqrt(2 / fan_out), rel=0.01)


@pytest.mark.parametrize("kind", LAYERS)
def test_xavier_has_variance_two_over_both_fans(kind: str) -> None:
    make, fan_in, fan_out = LAYERS[kind]
    torch.manual_seed(0)
    layer = make()
    xavier_normal(layer, NO_BATCH)
    assert std_of(layer.weight) == pytest.approx(math.sqrt(2 / (fan_in + fan_out)), rel=0.01)


@pytest.mark.parametrize("init", [he_normal, xavier_normal])
def test_biases_are_zero_and_weights_normal_rather_than_uniform(init: object) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 200)
    assert callable(init)
    init(layer, NO_BATCH)
    assert bool((layer.bias == 0).all())
    kurtosis = float((layer.weight / layer.weight.std()).detach().pow(4).mean())
    assert kurtosis == pytest.approx(3.0, abs=0.1)  # a uniform distribution has 1.8


def spread_after(init: object, act: nn.Module) -> float:
    """Std of the last of ten layers' pre-activations, for standard normal input."""
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(10) for layer in (nn.Linear(512, 512, bias=False), act)][:-1])
    assert callable(init)
    init(model, NO_BATCH)
    with torch.no_grad():
        return float(model(torch.randn(256, 512)).std())


def test_he_holds_through_ten_relu_layers_where_xavier_fades() -> None:
    assert spread_after(he_normal, nn.ReLU()) == pytest.approx(math.sqrt(2), rel=0.25)
    assert spread_after(xavier_normal, nn.ReLU()) < 0.1


def test_xavier_holds_through_ten_linear_layers() -> None:
    assert spread_after(xavier_normal, nn.Identity()) == pytest.approx(1.0, rel=0.1)
