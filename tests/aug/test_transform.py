"""From the stored batch to what the model sees."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import functional as reference

from trainer.aug import colour, geometry
from trainer.aug.custom import custom
from trainer.aug.light import light
from trainer.aug.none import none
from trainer.aug.policy import Policy
from trainer.aug.transform import Transform, recolour
from trainer.aug.warp import warp
from trainer.rng import Draws
from trainer.size import square

MEAN, STD = {1: (0.3,), 3: (0.5, 0.4, 0.3)}, {1: (0.2,), 3: (0.2, 0.25, 0.3)}
STRONG = light(crop=0.5, crop_aspect=1.5, rotate=30.0)


def images_of(batch, channels, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, channels, height, width), dtype=torch.uint8, generator=generator)


def transform(policy, size, channels=3, **options):
    return Transform(policy, square(size), MEAN[channels], STD[channels], **options)


def normalised(images, channels=3):
    """The definition, in float64."""
    mean, std = (torch.tensor(each[channels], dtype=torch.float64)[:, None, None] for each in (MEAN, STD))
    return (images.double() / 255 - mean) / std


def sharpened(images):
    """What the warp samples of images that are as large as they are seen: eleven of each to one of its neighbours."""
    pixels = images.double()
    around = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    beside = around[..., :-2, 1:-1] + around[..., 2:, 1:-1] + around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    return (11 * pixels - beside) / 7


def saturation(draws):
    """A colour map that mixes the channels, for every second sample."""
    grey = torch.tensor([0.3, 0.6, 0.1], dtype=torch.float64).expand(3, 3)
    blended = torch.cat([0.5 * torch.eye(3, dtype=torch.float64) + 0.5 * grey, torch.zeros(3, 1)], dim=1)
    plain = torch.eye(3, 4, dtype=torch.float64)
    return torch.stack([blended if sample % 2 else plain for sample in draws.samples.tolist()])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [none(), STRONG])
def test_without_draws_the_batch_is_only_normalised(channels, policy):
    images = images_of(3, channels, 20, 20)
    seen = transform(policy, 20, channels)(images)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen.double(), normalised(images, channels), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 40), (37, 61), (12, 12)])
def test_an_image_of_another_shape_is_resized_as_pillow_does_it(shape):
    image = images_of(1, 3, *shape)
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy()).resize((20, 20), Image.Resampling.BILINEAR)
    theirs = normalised(reference.pil_to_tensor(pillow)[None])
    seen = transform(STRONG, 20)(image)
    torch.testing.assert_close(seen.double(), theirs, rtol=0, atol=1.01 / 255 / 0.2)


def test_the_warp_sees_an_antialiased_image_when_it_is_far_too_large():
    stripes = torch.zeros(1, 3, 160, 160, dtype=torch.uint8)
    stripes[..., ::2] = 255
    seen = transform(Policy(geometry=(geometry.shift(0.1),)), 20)(stripes, Draws(0, 0, torch.tensor([0])))
    grey = (127.5 / 255 - torch.tensor(MEAN[3])) / torch.tensor(STD[3])
    torch.testing.assert_close(seen.mean(dim=(0, 2, 3)), grey, rtol=0, atol=0.02)
    assert seen.std(dim=(0, 2, 3)).max() < 0.1  # sampled as they are, the stripes would leave 2


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 40)])
@pytest.mark.parametrize("mixing", [(), (saturation,)])
def test_a_sample_is_the_same_bit_for_bit_alone_and_in_any_batch(channels, size, mixing):
    images = images_of(67, channels, 48, 48)
    stage = transform(Policy(geometry=STRONG.geometry, colour=STRONG.colour + mixing), size, channels)
    samples = torch.arange(100, 167)
    together = stage(images, Draws(5, 2, samples))
    backwards = stage(images.flip(0), Draws(5, 2, samples.flip(0))).flip(0)
    assert torch.equal(together, backwards)
    for index in (0, 1, 30, 66):
        alone = stage(images[index : index + 1], Draws(5, 2, samples[index : index + 1]))
        assert torch.equal(alone[0], together[index])


def test_a_sample_is_another_at_another_epoch_seed_or_place_in_the_set():
    images = images_of(1, 3, 24, 24)
    stage = transform(STRONG, 24)
    seen = [
        stage(images, Draws(seed, epoch, torch.tensor([sample])))
        for seed, epoch, sample in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert all(not torch.allclose(a, b) for index, a in enumerate(seen) for b in seen[:index])


def test_a_batch_larger_than_the_cache_is_the_sum_of_its_parts():
    images = images_of(50, 3, 128, 128)  # two chunks
    stage, samples = transform(STRONG, 96), torch.arange(50)
    together = stage(images, Draws(0, 0, samples))
    parts = [stage(images[rows], Draws(0, 0, samples[rows])) for rows in (slice(0, 17), slice(17, 50))]
    assert torch.equal(together, torch.cat(parts))


def test_geometry_and_colour_in_one_equal_the_steps_one_after_the_other():
    images, draws = images_of(8, 3, 40, 40), Draws(1, 0, torch.arange(8))
    maps = (colour.brightness(0.3), colour.contrast(0.4))
    turn = geometry.rotate(20.0)
    seen = transform(Policy(geometry=(turn,), colour=(*maps, saturation)), 40)(images, draws)
    wanted = warp(sharpened(images).float(), turn(draws, 1.0), square(40)).double() / 255
    for each in (*maps, saturation):
        matrix = each(draws)
        wanted = torch.einsum("bij,bjhw->bihw", matrix[:, :, :3], wanted) + matrix[:, :, 3, None, None]
    torch.testing.assert_close(seen.double(), normalised(255 * wanted), rtol=0, atol=1e-4)


def test_brightness_is_the_one_of_torchvision():
    image = images_of(1, 3, 8, 8).double() / 255 / 2
    matrix = colour.scaling(torch.tensor([1.4], dtype=torch.float64), 0.0)
    torch.testing.assert_close(recolour(image, matrix, False), reference.adjust_brightness(image, 1.4))


def test_contrast_is_the_one_of_torchvision_on_an_image_whose_mean_is_middle_grey():
    half = 0.25 + images_of(1, 1, 8, 8).double() / 255 / 4
    image = torch.cat([half, 1 - half], dim=3).expand(-1, 3, -1, -1)
    matrix = colour.scaling(torch.tensor([1.4], dtype=torch.float64), 0.5)
    torch.testing.assert_close(recolour(image, matrix, False), reference.adjust_contrast(image, 1.4), atol=1e-3, rtol=0)


def test_a_grey_image_becomes_what_the_same_grey_in_colour_becomes():
    images, draws = images_of(4, 1, 24, 24), Draws(0, 0, torch.arange(4))
    policy = Policy(geometry=STRONG.geometry, colour=(*STRONG.colour, saturation))
    grey = Transform(policy, square(24), (0.3,), (0.2,))(images, draws)
    coloured = Transform(policy, square(24), (0.3,) * 3, (0.2,) * 3)(images.expand(-1, 3, -1, -1), draws)
    torch.testing.assert_close(grey.expand(-1, 3, -1, -1), coloured, rtol=0, atol=1e-5)


def test_strengths_are_spread_evenly_over_what_the_options_say():
    draws = Draws(0, 0, torch.arange(20_000))
    bright, stretched = colour.brightness(0.3)(draws)[:, 0, 0], colour.contrast(0.3)(draws)[:, 0, 0]
    for factors in (bright, stretched):
        assert 0.7 <= factors.min() < 0.701 and 1.299 < factors.max() <= 1.3
        assert factors.mean().item() == pytest.approx(1.0, abs=0.005)
    assert torch.corrcoef(torch.stack([bright, stretched]))[0, 1].abs() < 0.03


def test_channels_last_changes_the_layout_and_no_value():
    images, draws = images_of(5, 3, 24, 24), Draws(0, 0, torch.arange(5))
    plain = transform(STRONG, 20)(images, draws)
    last = transform(STRONG, 20, channels_last=True)(images, draws)
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last) and plain.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_half_precision_are_those_in_full_rounded_once(dtype, channels):
    images, draws = images_of(6, channels, 24, 24), Draws(0, 0, torch.arange(6))
    policy = custom(rotate=20.0, crop=0.4, contrast=0.3, saturation=0.5, noise=0.1, salt_pepper=0.1, erase=0.7)
    full = transform(policy, 20, channels)(images, draws)
    half = transform(policy, 20, channels, channels_last=True, dtype=dtype)(images, draws)
    assert half.dtype == dtype and half.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(half, full.to(dtype))
    plain = transform(policy, 24, channels, dtype=dtype)(images)
    assert torch.equal(plain, transform(policy, 24, channels)(images).to(dtype))


def test_a_policy_that_stays_inside_looks_the_same_with_reflection():
    images, draws = images_of(16, 3, 40, 40), Draws(2, 0, torch.arange(16))
    for size in (32, 40):
        inside = custom(crop=0.6, crop_aspect=2.0, flip=0.5)
        reflected = replace(inside, padding="reflection")
        assert inside.padding == "border"
        one, other = (transform(policy, size)(images, draws) for policy in (inside, reflected))
        torch.testing.assert_close(one, other, rtol=0, atol=2e-4)
    for option in ({"rotate": 20.0}, {"shear": 0.3}, {"zoom": 1.5}, {"shift": 0.2}, {"perspective": 0.3}):
        outside = custom(flip=0.5, **option)
        assert outside.padding == "reflection"
        one, other = (transform(each, 32)(images, draws) for each in (outside, replace(outside, padding="border")))
        assert not torch.allclose(one, other, atol=0.1)


def test_what_lies_beyond_the_edges_is_as_asked():
    images, right = images_of(1, 3, 16, 16), torch.eye(3, dtype=torch.float64)[None].clone()
    pixels = sharpened(images)
    right[0, 0, 2] = 0.5  # four pixels further to the right than the image goes
    policy = Policy(geometry=(lambda draws, aspect: right,))
    for padding, beyond in (
        ("reflection", pixels[..., -4:].flip(3)),
        ("border", pixels[..., -1:].expand(-1, -1, -1, 4)),
        ("zeros", torch.zeros(1, 3, 16, 4)),
    ):
        seen = transform(replace(policy, padding=padding), 16)(images, Draws(0, 0, torch.arange(1)))
        theirs = normalised(torch.cat([pixels[..., 4:], beyond], dim=3))
        torch.testing.assert_close(seen.double(), theirs, rtol=0, atol=2e-3)


def test_options_set_to_nothing_leave_nothing_to_do():
    off = light(flip=0.0, rotate=0.0, zoom=1.0, shift=0.0, brightness=0.0, contrast=0.0)
    assert off == none()
    assert len(light().geometry) == 4 and len(light().colour) == 2 and len(STRONG.geometry) == 5


def test_an_empty_batch_stays_empty():
    assert transform(STRONG, 20)(images_of(0, 3, 24, 24), Draws(0, 0, torch.arange(0))).shape == (0, 3, 20, 20)
