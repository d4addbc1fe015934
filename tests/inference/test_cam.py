"""Class-activation maps: where in a picture the network saw what it answered."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainer.inference.cam import class_activation_maps
from trainer.model.staged import Chain


class Spots(nn.Module):
    """Two features: how red a place is, and how green."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(2, 3)[:, :, None, None], requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(images, self.weight)


def spotter() -> Chain:
    """Answers class 0 for red and class 1 for green pictures."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2, bias=False))
    head[2].weight.data = torch.eye(2)
    return Chain(stem=nn.Conv2d(3, 3, 1, bias=False), body=nn.Sequential(Spots(), nn.ReLU(inplace=True)), head=head)


def test_the_map_is_high_where_what_speaks_for_the_class_is_and_zero_elsewhere() -> None:
    model = spotter()
    model[0].weight.data = torch.eye(3)[:, :, None, None]
    images = torch.zeros(2, 3, 16, 16)
    images[0, 0, 2:6, 2:6] = 1  # red, above on the left
    images[1, 1, 9:13, 10:14] = 2  # green, below on the right
    maps = class_activation_maps(model, images, [0, 1])
    assert maps is not None and maps.shape == (2, 16, 16)
    assert (maps[0] > 0.5).nonzero().tolist() == (images[0, 0] > 0).nonzero().tolist()
    assert (maps[1] > 0.5).nonzero().tolist() == (images[1, 1] > 0).nonzero().tolist()
    other = class_activation_maps(model, images, [1, 0])
    assert other is not None and other.max() == 0  # nothing speaks for what is not there


def test_the_map_is_that_of_the_formula_worked_out_by_finite_differences() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 3))
    model = Chain(stem=nn.Conv2d(3, 3, 1), body=body, head=head).double()
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    features = body(model[0](images)).detach()
    slopes = np.zeros(features.shape)
    for place in np.ndindex(*features.shape):
        moved = features.clone()
        moved[place] += 1e-6
        slopes[place] = (head(moved)[0, 2] - head(features)[0, 2]).item() / 1e-6
    weights = slopes.mean(axis=(2, 3))[0]
    expected = np.maximum(np.einsum("k,khw->hw", weights, features.numpy()[0]), 0)
    maps = class_activation_maps(model, images, [2])
    assert maps is not None
    np.testing.assert_allclose(maps[0].numpy(), expected / expected.max(), atol=1e-5)


def test_a_network_without_feature_maps_has_none_and_the_model_is_left_as_it_was() -> None:
    flat = Chain(stem=nn.Flatten(), body=nn.Linear(48, 4), head=nn.Linear(4, 2))
    assert class_activation_maps(flat, torch.zeros(1, 3, 4, 4), [0]) is None
    model = spotter().train().requires_grad_(False)
    assert class_activation_maps(model, torch.ones(1, 3, 8, 8), [0]) is not None
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_map_of_a_rectangle_lies_over_it() -> None:
    model = spotter()
    model[0].weight.data = torch.eye(3)[:, :, None, None]
    images = torch.zeros(1, 3, 8, 20)
    images[0, 0, 5:8, 12:17] = 1
    maps = class_activation_maps(model, images, [0])
    assert maps is not None and maps.shape == (1, 8, 20)
    assert (maps[0] > 0.5).nonzero().tolist() == (images[0, 0] > 0).nonzero().tolist()


@pytest.mark.parametrize("side", [3, 4])
def test_a_feature_map_of_less_than_four_by_four_cells_points_nowhere(side: int) -> None:
    maps = class_activation_maps(spotter(), torch.ones(1, 3, side, side), [0])
    assert (maps is None) == (side < 4)
