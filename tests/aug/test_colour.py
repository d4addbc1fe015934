"""The one colour matrix: each map against torchvision's formula in float64, and all of them in one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import functional as reference

from trainer.aug import colour
from trainer.aug.policy import Policy
from trainer.aug.transform import Transform, recolour
from trainer.rng import Draws
from trainer.size import square

FACTORS, ANGLES = st.floats(0, 2), st.floats(-180, 180)
MAPS = {
    "brightness": colour.brightness(0.5),
    "contrast": colour.contrast(0.5),
    "saturation": colour.saturation(0.5),
    "hue": colour.hue(60.0),
    "greyscale": colour.greyscale(0.5),
}


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def photograph(low=0.0, high=1.0):
    """(1, 3, 16, 16) float64, values in [low, high]."""
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_saturation_is_the_one_of_torchvision(factor):
    image = photograph(0.3, 0.7)  # nowhere cut off
    ours = recolour(image, colour.towards_grey(one(factor)), True)
    theirs = reference.adjust_saturation(image, factor)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)  # its three weights of grey sum to 0.9999
    if factor != 1.0:
        assert not torch.allclose(ours, reference.adjust_saturation(image, 2 - factor), atol=0.05)


def test_greyscale_is_the_one_of_torchvision_for_as_many_as_the_probability_says():
    image, draws = photograph(), Draws(0, 0, torch.arange(4000))
    seen = recolour(image.expand(4000, -1, -1, -1)[..., :2], colour.greyscale(0.3)(draws), True)
    theirs = reference.rgb_to_grayscale(image[..., :2], num_output_channels=3)
    grey = (seen - theirs).abs().amax(dim=(1, 2, 3)) < 2e-4
    untouched = (seen == image[..., :2]).all(dim=3).all(dim=2).all(dim=1)
    assert (grey | untouched).all() and not (grey & untouched).any()
    assert grey.double().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("thirds", [-1, 0, 1])
def test_hue_is_the_one_of_torchvision_at_every_third_of_the_circle(thirds):
    image = photograph()
    ours = recolour(image, colour.turning(one(120.0 * thirds)), True)
    torch.testing.assert_close(ours, reference.adjust_hue(image, thirds / 3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("degrees", [-60.0, -20.0, 10.0, 35.0, 90.0])
def test_hue_between_the_thirds_is_a_rigid_turn_about_the_axis_of_greys(degrees):
    """Rodrigues' formula for a turn about (1, 1, 1), colour by colour."""
    image, axis = photograph(), torch.full((3,), 1 / math.sqrt(3), dtype=torch.float64)
    colours = image[0].flatten(1).T  # (N, 3)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    across = torch.linalg.cross(axis.expand_as(colours), colours)
    wanted = cosine * colours + sine * across + (1 - cosine) * (colours @ axis)[:, None] * axis
    ours = recolour(image, colour.turning(one(degrees)), True)
    torch.testing.assert_close(ours[0].flatten(1).T, wanted, rtol=0, atol=1e-12)
    theirs = reference.adjust_hue(image, degrees / 360)  # on a hexagon: near by, and turned the same way
    backwards = recolour(image, colour.turning(one(-degrees)), True)
    assert (ours - theirs).abs().mean() < 0.5 * (backwards - theirs).abs().mean()


@given(FACTORS, ANGLES, st.floats(0, 1))
def test_greys_stay_as_they_are_under_saturation_and_hue(factor, degrees, level):
    grey = torch.full((1, 3, 1, 1), level, dtype=torch.float64)
    for matrix in (colour.towards_grey(one(factor)), colour.turning(one(degrees))):
        torch.testing.assert_close(recolour(grey, matrix, True), grey, rtol=0, atol=1e-12)


@given(ANGLES, ANGLES)
def test_two_turns_of_the_colour_circle_are_the_turn_by_their_sum(first, second):
    both = colour.turning(one(second))[:, :, :3] @ colour.turning(one(first))[:, :, :3]
    torch.testing.assert_close(both, colour.turning(one(first + second))[:, :, :3], rtol=0, atol=1e-12)


@given(st.permutations(list(MAPS)), st.integers(0, 1000))
def test_maps_in_one_equal_the_maps_one_after_the_other_in_the_order_named(names, seed):
    draws = Draws(seed, 0, torch.arange(3))
    maps = [MAPS[name] for name in names]
    at_once = Transform(Policy(colour=tuple(maps)), square(8), (0.0,) * 3, (1.0,) * 3)._colour(draws)
    values = photograph().expand(3, -1, -1, -1)
    chained = values
    for each in maps:
        matrix = each(draws)
        chained = torch.einsum("bij,bjhw->bihw", matrix[:, :, :3], chained) + matrix[:, :, 3, None, None]
    torch.testing.assert_close(recolour(255 * values, at_once, True), chained, rtol=0, atol=1e-9)


def test_the_order_of_maps_matters():
    """The control of the test above: saturation and brightness change places freely, contrast and brightness do not."""
    draws = Draws(0, 0, torch.arange(8))
    eye = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]], dtype=torch.float64).expand(8, -1, -1)
    bright, contrast, saturated = (
        torch.cat([MAPS[name](draws), eye], dim=1) for name in ("brightness", "contrast", "saturation")
    )
    torch.testing.assert_close(bright @ saturated, saturated @ bright)
    assert not torch.allclose(bright @ contrast, contrast @ bright, atol=1e-3)


def test_hue_is_spread_evenly_over_what_its_option_says():
    matrices = colour.hue(30.0)(Draws(0, 0, torch.arange(20_000)))
    cosines = ((matrices[:, 0, 0] * 3 - 1) / 2).clamp(-1, 1)
    angles = torch.rad2deg(torch.acos(cosines)) * torch.sign(matrices[:, 1, 0] - matrices[:, 0, 1])
    assert 29.9 < angles.max() <= 30.001 and -30.001 <= angles.min() < -29.9
    assert angles.std().item() == pytest.approx(30 / math.sqrt(3), rel=0.02) and angles.mean().abs() < 0.4
