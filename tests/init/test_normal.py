"""Zero, normal, He and Xavier weights against their formulas, over enough draws that 1 % is many standard errors."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainer.init.layers import fans
from trainer.init.normal import he_normal, normal, xavier_normal
from trainer.init.uniform import he_uniform, xavier_uniform
from trainer.init.zeros import zeros

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


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("init", [xavier_normal, xavier_uniform])
def test_the_other_xavier_has_variance_one_over_fan_in(init: Callable[..., None], kind: str) -> None:
    make, fan_in, _ = LAYERS[kind]
    torch.manual_seed(0)
    layer = make()
    init(layer, NO_BATCH, mode="fan_in")
    assert std_of(layer.weight) == pytest.approx(1 / math.sqrt(fan_in), rel=0.01)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("std", [0.01, 0.1])
def test_plain_normal_has_the_std_that_was_asked_for_whatever_the_layer(std: float, kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind][0]()
    normal(layer, NO_BATCH, std=std)
    assert std_of(layer.weight) == pytest.approx(std, rel=0.01)


@pytest.mark.parametrize("kind", LAYERS)
def test_uniform_weights_fill_their_bounds_and_have_the_variance_of_the_normal_kind(kind: str) -> None:
    make, fan_in, fan_out = LAYERS[kind]
    torch.manual_seed(0)
    cases = [
        (he_uniform, {}, 2 / fan_in),
        (he_uniform, {"mode": "fan_out"}, 2 / fan_out),
        (xavier_uniform, {}, 2 / (fan_in + fan_out)),
    ]
    for init, options, variance in cases:
        layer = make()
        init(layer, NO_BATCH, **options)
        assert std_of(layer.weight) == pytest.approx(math.sqrt(variance), rel=0.01)
        assert float(layer.weight.detach().abs().max()) == pytest.approx(math.sqrt(3 * variance), rel=0.01)


@pytest.mark.parametrize(
    ("init", "expected"),
    [(he_normal, 3.0), (xavier_normal, 3.0), (normal, 3.0), (he_uniform, 1.8), (xavier_uniform, 1.8)],
)
def test_biases_are_zero_and_the_weights_have_the_shape_of_their_name(
    init: Callable[..., None], expected: float
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 200)
    init(layer, NO_BATCH)
    assert bool((layer.bias == 0).all())
    kurtosis = float((layer.weight / layer.weight.std()).detach().pow(4).mean())
    assert kurtosis == pytest.approx(expected, abs=0.1)  # 3 for a normal distribution, 1.8 for a uniform one


def two_steps(init: Callable[..., None]) -> nn.Sequential:
    """A small ReLU net after two steps of gradient descent."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    init(model, NO_BATCH)
    images, labels = torch.randn(32, 6), torch.arange(32) % 3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model


def rows_differ(layer: nn.Module) -> bool:
    assert isinstance(layer, nn.Linear)
    return not torch.equal(layer.weight, layer.weight[:1].expand_as(layer.weight))


def test_from_zeros_no_unit_ever_differs_from_another_and_only_the_last_bias_moves() -> None:
    model = two_steps(zeros)
    moved = [name for name, parameter in model.named_parameters() if bool(parameter.ne(0).any())]
    assert moved == ["4.bias"]
    assert not rows_differ(model[0]) and not rows_differ(model[2])
    assert rows_differ(two_steps(he_normal)[0])


def spread_after(init: Callable[..., None], act: nn.Module) -> float:
    """Std of the last of ten layers' pre-activations, for standard normal input."""
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(10) for layer in (nn.Linear(512, 512, bias=False), act)][:-1])
    init(model, NO_BATCH)
    with torch.no_grad():
        return float(model(torch.randn(256, 512)).std())


def test_he_holds_through_ten_relu_layers_where_xavier_fades() -> None:
    assert spread_after(he_normal, nn.ReLU()) == pytest.approx(math.sqrt(2), rel=0.25)
    assert spread_after(xavier_normal, nn.ReLU()) < 0.1


def test_xavier_holds_through_ten_linear_layers() -> None:
    assert spread_after(xavier_normal, nn.Identity()) == pytest.approx(1.0, rel=0.1)
