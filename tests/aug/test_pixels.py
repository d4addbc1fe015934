"""What is done to single pixels: noise, salt and pepper, and erasing have the distribution that their options say."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.aug import pixels
from trainer.aug.boxes import inside
from trainer.aug.custom import custom
from trainer.aug.policy import Levels
from trainer.aug.transform import Transform
from trainer.rng import Draws
from trainer.size import Size, square

BLACK_AND_WHITE = Levels(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
NOT_ROUND = Levels(torch.tensor([-2.0, -1.0, 0.5])[:, None, None], torch.tensor([2.0, 1.0, 4.5])[:, None, None])
STAGES = {
    "noise": pixels.gaussian(0.2),
    "salt": pixels.salt_and_pepper(0.3),
    "erase": pixels.erase(1.0, 0.4),
}


def middle(batch, size, channels=3):
    return torch.full((batch, channels, size, size), 0.5)


def draws_of(batch, seed=0):
    return Draws(seed, 0, torch.arange(batch))


def test_noise_is_normal_about_the_image_and_of_a_strength_of_its_own_for_each_sample():
    added = (pixels.gaussian(0.2)(middle(400, 32), draws_of(400), BLACK_AND_WHITE) - 0.5).double()
    stds = added.flatten(1).std(dim=1)
    assert stds.max() < 0.21 and stds.min() < 0.01
    assert stds.mean().item() == pytest.approx(0.1, abs=0.01)
    assert stds.std().item() == pytest.approx(0.2 / math.sqrt(12), rel=0.1)
    standard = (added.flatten(1) / stds[:, None])[stds > 0.02].flatten()
    assert standard.mean().abs() < 0.005
    shares = torch.arange(1, 1000, dtype=torch.float64) / 1000
    quantiles = standard.sort().values[(shares * len(standard)).long()]
    torch.testing.assert_close(torch.special.ndtr(quantiles), shares, rtol=0, atol=0.003)


def test_noise_of_neighbouring_pixels_channels_and_samples_is_unrelated():
    added = pixels.gaussian(0.2)(middle(200, 33), draws_of(200), BLACK_AND_WHITE) - 0.5
    added = added / added.flatten(1).std(dim=1)[:, None, None, None]
    pairs = [
        (added[..., 1:], added[..., :-1]),
        (added[:, :, 1:], added[:, :, :-1]),
        (added[:, 1:], added[:, :-1]),
        (added[1:], added[:-1]),
    ]
    assert all(abs(float((a * b).mean())) < 0.01 for a, b in pairs)


def test_noise_is_as_strong_in_each_channel_as_white_is_far_from_black():
    added = pixels.gaussian(0.2)(middle(300, 16), draws_of(300), NOT_ROUND) - 0.5
    widths = added.transpose(0, 1).flatten(1).std(dim=1)
    torch.testing.assert_close(widths / widths[1], torch.tensor([2.0, 1.0, 2.0]), rtol=0.03, atol=0)


def test_salt_and_pepper_makes_whole_pixels_black_or_white_and_leaves_the_others():
    seen = pixels.salt_and_pepper(0.3)(middle(400, 32), draws_of(400), NOT_ROUND)
    white, black = (seen == NOT_ROUND.white).all(dim=1), (seen == NOT_ROUND.black).all(dim=1)
    assert ((seen == 0.5).all(dim=1) | white | black).all()
    shares = (white | black).double().mean(dim=(1, 2))
    assert shares.min() < 0.01 and 0.27 < shares.max() < 0.35
    assert shares.mean().item() == pytest.approx(0.15, abs=0.015)
    assert white.double().mean().item() == pytest.approx(black.double().mean().item(), rel=0.03)


def test_erasing_fills_a_rectangle_of_the_area_and_shape_of_its_paper():
    size, batch = 100, 500
    seen = pixels.erase(0.6, 0.4)(middle(batch, size), draws_of(batch), BLACK_AND_WHITE)
    changed = (seen != 0.5).any(dim=1)
    erased = changed.flatten(1).any(dim=1)
    assert erased.double().mean().item() == pytest.approx(0.6, abs=0.07)
    areas, aspects, lefts = [], [], []
    for mask in changed[erased]:
        rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert len(rows) == height and len(columns) == width and int(mask.sum()) == height * width
        areas.append(height * width / size**2)
        aspects.append(height / width)
        lefts.append(int(columns[0]) / max(1, size - width))
    assert min(areas) > 0.015 and 0.37 < max(areas) < 0.41
    assert sum(areas) / len(areas) == pytest.approx(0.21, abs=0.02)
    assert 0.27 < min(aspects) < 0.4 and 2.5 < max(aspects) < 1 / 0.27
    assert sum(math.log(each) for each in aspects) / len(aspects) == pytest.approx(0, abs=0.1)
    assert min(lefts) < 0.02 and max(lefts) > 0.98 and sum(lefts) / len(lefts) == pytest.approx(0.5, abs=0.06)


def test_what_is_erased_is_filled_with_every_level_from_black_to_white():
    seen = pixels.erase(1.0, 1.0)(torch.full((100, 3, 32, 32), 9.0), draws_of(100), NOT_ROUND)
    for channel, (low, high) in enumerate(((-2.0, 2.0), (-1.0, 1.0), (0.5, 4.5))):
        filled = seen[:, channel][seen[:, channel] != 9.0]
        assert low <= filled.min() < low + 0.01 and high - 0.01 < filled.max() <= high
        counts = torch.histc(filled, bins=10, min=low, max=high) / len(filled)
        torch.testing.assert_close(counts, torch.full((10,), 0.1), rtol=0, atol=0.005)


@pytest.mark.parametrize("aspect_free", [0.9, 1.0])
def test_a_large_rectangle_lies_within_the_picture(aspect_free):
    seen = pixels.erase(1.0, aspect_free)(middle(300, 40), draws_of(300), BLACK_AND_WHITE)
    areas = (seen != 0.5).any(dim=1).double().mean(dim=(1, 2))
    wanted = draws_of(300).uniform("aug.erase.area", 0.02, aspect_free)  # all of it, though the sides are limited
    torch.testing.assert_close(areas, wanted.double(), rtol=0, atol=0.06)


def test_a_box_holds_the_pixels_whose_centres_lie_in_it():
    edges = [torch.tensor([value]) for value in (0.2, -0.5, 0.71, 0.35)]
    mask = inside(*edges, square(10), torch.device("cpu"))[0, 0]
    wanted = torch.zeros(10, 10, dtype=torch.bool)
    wanted[:3, 2:7] = True  # centres at 0.05, 0.15, 0.25 down, and 0.25 to 0.65 across
    assert torch.equal(mask, wanted)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("size", [27, 32])
def test_a_stage_does_the_same_bits_to_a_sample_alone_and_in_any_batch(name, size):
    stage, samples = STAGES[name], torch.arange(100, 137)
    images = torch.rand(37, 3, size, size, generator=torch.Generator().manual_seed(0))
    together = stage(images.clone(), Draws(5, 2, samples), NOT_ROUND)
    assert not torch.equal(together, images)
    backwards = stage(images.flip(0), Draws(5, 2, samples.flip(0)), NOT_ROUND).flip(0)
    assert torch.equal(together, backwards)
    for row in (0, 1, 36):
        alone = stage(images[row : row + 1].clone(), Draws(5, 2, samples[row : row + 1]), NOT_ROUND)
        assert torch.equal(alone[0], together[row])
    assert not torch.equal(together, stage(images.clone(), Draws(5, 3, samples), NOT_ROUND))


def test_salt_and_pepper_are_black_and_white_after_the_normalisation_too():
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    images = torch.full((50, 3, 16, 16), 100, dtype=torch.uint8)
    seen = Transform(custom(salt_pepper=0.5), square(16), mean, std)(images, draws_of(50))
    levels = seen * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]
    expected = torch.tensor([0.0, 100 / 255, 1.0])
    assert (levels[..., None] - expected).abs().amin(dim=-1).max() < 1e-6
    assert all((levels - each).abs().min() < 1e-6 for each in expected)
    plain = Transform(custom(salt_pepper=0.5), square(16), mean, std)(images)  # in evaluation nothing of it happens
    assert plain.flatten(2).std(dim=2).max() < 1e-6


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_box_in_a_rectangle_holds_what_a_loop_over_its_pixels_finds(height, width):
    left, top, right, bottom = (torch.tensor([value]) for value in (0.2, -0.5, 0.71, 0.35))
    mask = inside(left, top, right, bottom, Size(height, width), torch.device("cpu"))[0, 0]
    for row in range(height):
        for column in range(width):
            across, down = (column + 0.5) / width, (row + 0.5) / height
            sure = min(abs(across - 0.2), abs(across - 0.71), abs(down - 0.35)) > 1e-6
            assert not sure or bool(mask[row, column]) == (0.2 <= across < 0.71 and -0.5 <= down < 0.35)


def test_the_erased_share_of_a_rectangle_is_that_of_a_square():
    seen = pixels.erase(1.0, 0.4)(torch.full((300, 3, 24, 40), 9.0), draws_of(300), BLACK_AND_WHITE)
    areas = (seen != 9.0).any(dim=1).double().mean(dim=(1, 2))
    wanted = draws_of(300).uniform("aug.erase.area", 0.02, 0.4)
    torch.testing.assert_close(areas, wanted.double(), rtol=0, atol=0.09)
    assert areas.mean().item() == pytest.approx(wanted.mean().item(), abs=0.01)
