"""Whitening: what the first convolution gives out on real patches is uncorrelated and has variance 1."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.init.whiten import whiten


def images(channels: int = 3) -> Tensor:
    """Smooth, so that neighbouring pixels, and channels, are alike; of some other mean than 0."""
    noise = torch.randn(64, channels, 14, 14, generator=torch.Generator().manual_seed(7))
    return nn.functional.avg_pool2d(noise, 3, stride=1) + 0.5 * noise[:, :1, 1:-1, 1:-1] + 2


def outputs(layer: nn.Conv2d, batch: Tensor) -> np.ndarray:
    """(filters, patches) in float64: numpy's products of each filter with the patches side by side."""
    height, width = layer.kernel_size
    pixels, filters = batch.double().numpy(), layer.weight.detach().double().numpy()
    places = [(y, x) for y in range(0, 12 - height + 1, height) for x in range(0, 12 - width + 1, width)]
    seen = np.concatenate([pixels[:, :, y : y + height, x : x + width] for y, x in places])
    bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()[:, None]
    return np.einsum("ochw,pchw->op", filters, seen) + bias


@pytest.mark.parametrize(("kernel", "channels"), [((3, 3), 3), ((2, 3), 1)])
def test_the_first_layer_gives_out_uncorrelated_values_of_variance_1_and_their_negatives(
    kernel: tuple[int, int], channels: int
) -> None:
    torch.manual_seed(0)
    batch, count = images(channels), kernel[0] * kernel[1] * channels
    layer = nn.Conv2d(channels, 2 * count, kernel)
    whiten(nn.Sequential(layer, nn.Conv2d(2 * count, 4, 3)), batch, eps=1e-9)
    found = outputs(layer, batch)
    assert np.allclose(found.mean(axis=1), 0, atol=1e-4)
    assert np.allclose(np.cov(found[:count], bias=True), np.eye(count), atol=1e-3)
    assert np.allclose(found[count:], -found[:count], atol=1e-4)


def test_without_it_they_are_correlated() -> None:
    torch.manual_seed(0)
    assert not np.allclose(np.corrcoef(outputs(nn.Conv2d(3, 27, 3), images())), np.eye(27), atol=0.5)


def test_directions_that_hardly_vary_are_not_blown_up() -> None:
    layer, batch = nn.Conv2d(3, 54, 3, bias=False), images()
    batch[:, 2] = batch[:, 1]  # nine directions of the patches have no variance at all
    whiten(layer, batch, eps=0.01)
    variances = outputs(layer, batch)[:27].var(axis=1)
    assert variances.max() < 1 and np.allclose(variances[18:], 0, atol=1e-6)
    assert float(layer.weight.detach().abs().max()) < 10


def test_few_filters_are_the_directions_of_most_variance() -> None:
    few, many, batch = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 54, 3), images()
    for layer in (few, many):
        whiten(layer, batch)
    assert torch.equal(few.weight[:3], many.weight[:3]) and torch.equal(few.weight[3:], -many.weight[:2])


def test_filters_beyond_both_signs_and_other_layers_keep_their_start() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 20, 3), nn.Conv2d(20, 4, 3), nn.Linear(4, 2))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    whiten(model, images(1))
    after = model.state_dict()
    assert torch.equal(after["0.weight"][18:], before["0.weight"][18:])
    assert not torch.equal(after["0.weight"][:18], before["0.weight"][:18])
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("0."))


@pytest.mark.parametrize("model", [nn.Linear(3, 2), nn.Conv2d(8, 4, 3), nn.Conv2d(3, 6, 3, groups=3)])
def test_a_model_that_does_not_begin_with_a_convolution_of_the_image_is_refused(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"init: 'whiten' is for a first layer that convolves the image.*init=lsuv"):
        whiten(model, images())
