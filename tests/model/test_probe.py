"""What inspect measures, and the textbooks' finding on ten-layer nets."""

import math

import pytest
import torch
from torch import nn

from trainer.model.layers import GaussianNoise
from trainer.model.mlp import mlp
from trainer.model.probe import BINS, SPAN, Values, probe
from trainer.model.xresnet import xresnet18
from trainer.registry import INITS
from trainer.report.inspection import verdict
from trainer.schema import Activation

IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def test_mean_std_and_histogram_are_those_of_the_output_behind_the_activation() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(20, 30)
    inputs = torch.randn(50, 20) * 4
    (values,) = probe(nn.Sequential(linear, nn.Tanh()), inputs)
    expected = torch.tanh(inputs.double() @ linear.weight.double().T + linear.bias.double()).detach().flatten()
    assert values.activation == "Tanh" and values.name == "0"
    assert values.mean == pytest.approx(float(expected.mean()), abs=1e-6)
    assert values.std == pytest.approx(float((expected - expected.mean()).square().mean().sqrt()), rel=1e-5)
    flat = float((1 - expected.square() < 0.1).double().mean())
    assert values.saturated == pytest.approx(flat, abs=1e-3) and 0.1 < flat < 0.9
    places = ((expected + SPAN) / (2 * SPAN) * BINS).floor().long()
    shares = torch.bincount(places, minlength=BINS).double() / len(expected)
    assert torch.allclose(values.histogram.double(), shares, atol=2e-3)


def test_a_sigmoid_is_saturated_where_its_slope_is_below_a_tenth_of_its_greatest() -> None:
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    inputs = torch.linspace(-8, 8, 1001)[:, None]
    (values,) = probe(nn.Sequential(layer, nn.Sigmoid()), inputs)
    slopes = torch.sigmoid(inputs.double()) * (1 - torch.sigmoid(inputs.double()))
    assert values.saturated == pytest.approx(float((slopes < 0.025).double().mean()), abs=1e-3)


def test_a_unit_is_dead_if_no_image_makes_it_fire() -> None:
    layer = nn.Conv2d(1, 4, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0, 1.0, 1.0]).reshape(4, 1, 1, 1))
        layer.bias.copy_(torch.tensor([-9.0, -9.0, 0.0, -0.5]))
    (values,) = probe(nn.Sequential(layer, nn.ReLU(inplace=True)), torch.rand(8, 1, 3, 3) + 0.1)
    assert values.dead == 0.5 and values.saturated is None


def test_values_beyond_the_histogram_are_counted_at_its_edges() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    (values,) = probe(nn.Sequential(layer), torch.tensor([[-100.0], [100.0], [50.0], [0.0]]))
    assert [float(values.histogram[place]) for place in (0, BINS // 2, BINS - 1)] == [0.25, 0.25, 0.5]


def test_a_norm_takes_this_batch_and_what_acts_in_training_only_is_left_out() -> None:
    model = nn.Sequential(GaussianNoise(5.0), nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Dropout(0.9), nn.Linear(7, 2))
    inputs = torch.randn(100, 6) * 9 + 4
    first, again = probe(model, inputs), probe(model, inputs)
    assert first[0].std == pytest.approx(1.0, abs=0.01) and first[0].mean == pytest.approx(0.0, abs=1e-5)
    assert [values.std for values in first] == [values.std for values in again]


def test_the_model_is_left_as_it_was() -> None:
    model = xresnet18(3, 3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(probe(model, torch.randn(2, 3, 32, 32))) == 3 + 16 + 3 + 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())


def ten_layers(activation: Activation, init: str, **options: float) -> list[Values]:
    torch.manual_seed(0)
    model = mlp(4, 3, depth=10, width=512, image_size=8, activation=activation)
    INITS.builder(init)(model, IMAGES, **options)
    return probe(model, IMAGES)


@pytest.mark.parametrize(
    ("activation", "init", "options", "expected"),
    [
        ("tanh", "zeros", {}, "constant"),
        ("tanh", "normal", {"std": 0.01}, "fades"),
        ("tanh", "normal", {"std": 0.1}, "saturates"),
        ("tanh", "xavier_normal", {}, "holds"),
        ("tanh", "lsuv", {}, "holds"),
        ("relu", "zeros", {}, "constant"),
        ("relu", "normal", {"std": 0.01}, "fades"),
        ("relu", "normal", {"std": 0.1}, "grows"),
        ("relu", "xavier_normal", {}, "fades"),
        ("relu", "he_normal", {}, "holds"),
        ("relu", "he_uniform", {}, "holds"),
        ("relu", "lsuv", {}, "holds"),
    ],
)
def test_ten_layers_show_what_the_textbooks_say(
    activation: Activation, init: str, options: dict[str, float], expected: str
) -> None:
    assert verdict(ten_layers(activation, init, **options)).split(":")[0] == expected


def test_xavier_loses_half_the_square_in_every_relu_layer_and_he_none() -> None:
    def root_mean_square(values: Values) -> float:
        return math.sqrt(values.mean**2 + values.std**2)

    fading, held = ten_layers("relu", "xavier_normal"), ten_layers("relu", "he_normal")
    assert root_mean_square(fading[9]) / root_mean_square(fading[1]) == pytest.approx(2**-4, rel=0.25)
    assert root_mean_square(held[9]) / root_mean_square(held[1]) == pytest.approx(1.0, rel=0.25)
