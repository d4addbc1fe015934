"""The options of the project's own networks: each acts, and acts as its source says."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.layers import (
    GaussianNoise,
    SqueezeExcitation,
    StochasticDepth,
    blur_pool,
    conv_layer,
    dense_layer,
    pooled_head,
)
from trainer.model.lenet import lenet
from trainer.model.mlp import mlp
from trainer.model.plain_cnn import plain_cnn
from trainer.model.small_cnn import small_cnn
from trainer.model.xresnet import ResidualBlock, xresnet18
from trainer.schema import Activation, Pooling

X = torch.randn(4, 8, 9, 7, generator=torch.Generator().manual_seed(2))
FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("activation", FORMULAS)
def test_an_activation_is_its_formula_in_dense_and_in_convolutional_layers(activation: Activation) -> None:
    torch.manual_seed(0)
    dense = dense_layer(6, 5, activation=activation, batch_norm=False).eval()
    inputs = torch.randn(7, 6)
    before = dense[0](inputs).detach()
    expected = torch.tensor([FORMULAS[activation](value) for value in before.flatten().tolist()])
    assert torch.allclose(dense(inputs).flatten(), expected, atol=1e-6)
    conv = conv_layer(8, 3, activation=activation, batch_norm=False)
    expected = torch.tensor([FORMULAS[activation](value) for value in conv[0](X).flatten().tolist()])
    assert torch.allclose(conv(X).flatten(), expected, atol=1e-6)


@pytest.mark.parametrize("activation", FORMULAS)
def test_the_activation_chosen_is_the_only_one_in_every_network(activation: Activation) -> None:
    wanted = type(conv_layer(1, 1, activation=activation)[-1])
    kinds = (nn.ReLU, nn.LeakyReLU, nn.Mish, nn.Tanh, nn.Sigmoid)
    for part in (small_cnn, xresnet18, plain_cnn, mlp, lenet):
        found = {type(module) for module in part(3, 3, activation=activation).modules() if isinstance(module, kinds)}
        assert found == {wanted}, part.__name__


@pytest.mark.parametrize("pooling", ["average", "max", "concatenated"])
def test_the_head_pools_as_asked(pooling: Pooling) -> None:
    head = pooled_head(8, 3, 0.0, pooling)
    mean = torch.stack([torch.stack([plane.double().mean() for plane in image]) for image in X])
    top = torch.stack([torch.stack([plane.double().max() for plane in image]) for image in X])
    expected = {"average": mean, "max": top, "concatenated": torch.cat([mean, top], dim=1)}[pooling]
    assert torch.allclose(head[1](head[0](X)).double(), expected, atol=1e-6)
    assert head(X).shape == (4, 3)


@pytest.mark.parametrize("size", [(9, 7), (8, 8), (1, 1), (2, 5)])
def test_blur_pool_is_every_second_value_of_a_binomial_blur_with_repeated_edges(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    line = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    padded = F.pad(x.double(), (1, 1, 1, 1), mode="replicate")
    expected = F.conv2d(padded, kernel, stride=2, groups=3)
    assert torch.allclose(blur_pool()(x).double(), expected, atol=1e-6)


def shift_error(model: nn.Module) -> float:
    """How much the maps of the first three steps change when an image moves by a pixel, beside their own size."""
    body = nn.Sequential(*list(model.children())[:3]).eval()
    image = F.avg_pool2d(torch.randn(1, 3, 80, 80, generator=torch.Generator().manual_seed(1)), 3, 1)
    with torch.no_grad():
        here, there = (body(image[:, :, :, start : start + 64]) for start in (0, 1))
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    return float((here - there)[inner].norm() / here[inner].norm())


@pytest.mark.parametrize("part", [small_cnn, xresnet18])
def test_blur_pooling_lets_a_shift_by_one_pixel_change_less_and_keeps_the_shapes(part: object) -> None:
    assert callable(part)
    errors, shapes = [], []
    for blur in (False, True):
        torch.manual_seed(0)
        model = part(3, 3, blur_pool=blur)
        errors.append(shift_error(model))
        x, sides = torch.zeros(1, 3, 33, 33), []
        for step in list(model.eval().children())[:-1]:
            x = step(x)
            sides.append(tuple(x.shape))
        shapes.append(sides)
    assert errors[1] < 0.8 * errors[0]
    assert shapes[0] == shapes[1]


def test_squeeze_and_excitation_agrees_with_torchvisions() -> None:
    ours, theirs = SqueezeExcitation(64), torchvision.ops.SqueezeExcitation(64, 4)
    theirs.fc1.load_state_dict(ours.squeeze.state_dict())
    theirs.fc2.load_state_dict(ours.excite.state_dict())
    x = torch.randn(3, 64, 5, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize(("part", "blocks"), [(small_cnn, 2), (xresnet18, 8)])
def test_squeeze_and_excitation_stands_in_every_stage_or_block(part: object, blocks: int) -> None:
    assert callable(part)
    model = part(3, 3, squeeze_excitation=True)
    assert sum(isinstance(module, SqueezeExcitation) for module in model.modules()) == blocks


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, x = StochasticDepth(0.25).train(), torch.ones(20_000, 2, 3, 3)
    out = layer(x)
    per_sample = out.flatten(1)
    assert bool((per_sample == per_sample[:, :1]).all())
    assert sorted(set(per_sample[:, 0].tolist())) == pytest.approx([0.0, 4 / 3])
    assert float((per_sample[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_the_chance_to_skip_a_block_grows_evenly_to_the_last() -> None:
    model = xresnet18(3, 3, stochastic_depth=0.4)
    drops = [module.drop for module in model.modules() if isinstance(module, StochasticDepth)]
    assert drops == pytest.approx([0.05 * number for number in range(1, 9)])


def test_a_block_with_everything_still_starts_as_its_shortcut() -> None:
    model = xresnet18(3, 3, squeeze_excitation=True, stochastic_depth=0.5, blur_pool=True).train()
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 8
    for block in blocks:
        channels = next(layer for layer in block.modules() if isinstance(layer, nn.Conv2d)).in_channels
        x = torch.randn(2, channels, 4, 4)
        assert torch.equal(block(x), block.shortcut(x).relu())


def test_noise_has_its_std_in_training_and_does_nothing_in_prediction() -> None:
    torch.manual_seed(0)
    layer, x = GaussianNoise(0.3), torch.zeros(200, 500)
    noise = layer.train()(x)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01) and float(noise.mean()) == pytest.approx(0.0, abs=0.005)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("part", [small_cnn, xresnet18])
def test_a_network_with_noise_differs_in_training_only_and_keeps_its_stages(part: object) -> None:
    assert callable(part)
    torch.manual_seed(0)
    model, plain = part(3, 3, noise=0.5), part(3, 3)
    images = torch.randn(2, 3, 32, 32)
    model.load_state_dict(plain.state_dict())  # noise has no weights, and moves no name
    assert len(model.stages) == len(plain.stages)
    assert torch.equal(model.eval()(images), plain.eval()(images))
    for norm in model.modules():  # so that all that is left to differ is the noise
        norm.training = isinstance(norm, GaussianNoise)
    assert not torch.equal(model(images), model(images))


def test_batch_norm_behind_dense_layers_uses_the_batch_in_training_and_running_statistics_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = dense_layer(6, 5, activation="tanh", batch_norm=True)
    norm, inputs = layer[1], torch.randn(64, 6) * 3 + 1
    assert isinstance(norm, nn.BatchNorm1d)
    product = inputs.double() @ layer[0].weight.double().T
    mean, variance = product.mean(0), product.var(0, correction=0)
    expected = torch.tanh((product - mean) / (variance + 1e-5).sqrt())
    assert torch.allclose(layer.train()(inputs).double(), expected, atol=1e-5)
    running_mean, running_variance = 0.1 * mean, 0.9 + 0.1 * product.var(0, correction=1)
    expected = torch.tanh((product - running_mean) / (running_variance + 1e-5).sqrt())
    assert torch.allclose(layer.eval()(inputs).double(), expected, atol=1e-5)


def test_dropout_is_scaled_in_training_and_does_nothing_in_prediction() -> None:
    torch.manual_seed(0)
    model = mlp(3, 1, depth=1, width=4000, image_size=4, dropout=0.25)
    dropout = next(module for module in model.modules() if isinstance(module, nn.Dropout))
    ones = torch.ones(50, 4000)
    out: Tensor = dropout.train()(ones)
    assert sorted(out.unique().tolist()) == pytest.approx([0.0, 4 / 3])
    assert float(out.mean()) == pytest.approx(1.0, rel=0.01)
    assert torch.equal(dropout.eval()(ones), ones)


@pytest.mark.parametrize("option", ["blur_pool", "squeeze_excitation"])
def test_an_option_of_the_stages_is_refused_where_there_are_none(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} acts in the stages after the stem, and one width makes none"):
        small_cnn(3, 3, widths=[8], **{option: True})  # type: ignore[arg-type]


def test_a_plain_net_with_more_halvings_than_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 halvings want 4 layers at least, and depth=3"):
        plain_cnn(3, 3, depth=3, halvings=3)


def test_a_plain_net_halves_where_it_says_and_has_the_parameters_of_its_formula() -> None:
    model, x, sides = plain_cnn(5, 3, depth=9, width=6, halvings=2), torch.zeros(1, 3, 16, 16), []
    for layer in list(model.children())[:-1]:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [16, 16, 16, 8, 8, 8, 4, 4, 4]
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == (3 * 9 * 6 + 6) + 8 * (6 * 9 * 6 + 6) + 6 * 5 + 5
