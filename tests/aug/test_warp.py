"""The one warp: each transformation against torchvision's on the same image, and all of them in one."""

import math

import numpy
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from trainer.aug import geometry
from trainer.aug.policy import Policy
from trainer.aug.transform import Transform
from trainer.aug.warp import warp
from trainer.rng import Draws
from trainer.size import Size, square

ANGLES, FACTORS, ASPECTS = st.floats(-180, 180), st.floats(0.2, 5), st.floats(0.25, 4)
BILINEAR = InterpolationMode.BILINEAR


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def photograph(size, batch=1):
    """Smooth noise, (batch, 3, size, size) in [0, 255]."""
    coarse = torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return 255 * F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def inside(images, margin):
    return images[..., margin:-margin, margin:-margin]


def coordinates(height, width):
    """(1, 2, height, width): each pixel holds its own x and y, in pixels from the centre; bilinear is exact."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return torch.stack([x, y])[None]


@pytest.mark.parametrize("angle", [-90.0, -33.0, 10.0, 45.0])
def test_rotation_is_the_one_of_torchvision(angle):
    image = photograph(40)
    ours = warp(image, geometry.rotation(one(angle), 1.0), square(40))
    theirs = reference.rotate(image, angle, BILINEAR)
    torch.testing.assert_close(inside(ours, 9), inside(theirs, 9), rtol=0, atol=0.01)
    assert not torch.allclose(inside(ours, 9), inside(reference.rotate(image, -angle, BILINEAR), 9), atol=1.0)


def test_zoom_and_shift_are_the_ones_of_torchvision():
    image = photograph(40)
    zoomed = warp(image, geometry.scaling(one(1 / 1.3), one(1 / 1.3)), square(40))
    theirs = reference.affine(image, 0.0, [0, 0], 1.3, [0.0], BILINEAR)
    torch.testing.assert_close(inside(zoomed, 2), inside(theirs, 2), rtol=0, atol=0.01)
    shifted = warp(image, geometry.translation(one(-2 * 3 / 40), one(2 * 5 / 40)), square(40))
    theirs = reference.affine(image, 0.0, [3, -5], 1.0, [0.0], BILINEAR)
    torch.testing.assert_close(inside(shifted, 6), inside(theirs, 6), rtol=0, atol=0.01)


def test_flip_is_the_one_of_torchvision():
    image = photograph(27)
    flipped = warp(image, geometry.scaling(one(-1.0), one(1.0)), square(27))
    torch.testing.assert_close(flipped, reference.hflip(image), rtol=0, atol=0.01)


def test_crop_is_the_one_of_torchvision():
    image, top, left, height, width = photograph(40), 4, 10, 20, 24
    x, y = (left + width / 2) / 20 - 1, (top + height / 2) / 20 - 1
    matrix = geometry.translation(one(x), one(y)) @ geometry.scaling(one(width / 40), one(height / 40))
    theirs = reference.resized_crop(image, top, left, height, width, [32, 32], BILINEAR, antialias=False)
    torch.testing.assert_close(inside(warp(image, matrix, square(32)), 2), inside(theirs, 2), rtol=0, atol=0.02)


def test_perspective_is_the_one_of_torchvision():
    image = photograph(40)
    matrix = torch.eye(3, dtype=torch.float64)[None].clone()
    matrix[0, 2, :2] = torch.tensor([0.1, -0.2])
    ends = [[0, 0], [40, 0], [40, 40], [0, 40]]  # torchvision's pixel corners, taken as edges
    starts = []
    for x, y in ends:
        seen = matrix[0] @ torch.tensor([x / 20 - 1, y / 20 - 1, 1.0], dtype=torch.float64)
        starts.append([((seen[0] / seen[2] + 1) * 20).item(), ((seen[1] / seen[2] + 1) * 20).item()])
    coefficients = torch.linalg.solve(
        torch.tensor(
            [
                row
                for (x, y), (u, v) in zip(ends, starts, strict=True)
                for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
            ],
            dtype=torch.float64,
        ),
        torch.tensor([value for point in starts for value in point], dtype=torch.float64),
    )
    from torchvision.transforms import _functional_tensor as tensors  # its public face rounds the points to pixels

    theirs = tensors.perspective(image, coefficients.tolist(), "bilinear")
    torch.testing.assert_close(inside(warp(image, matrix, square(40)), 8), inside(theirs, 8), rtol=0, atol=0.02)


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.0), (-0.15, 0.0), (0.0, 0.25), (0.0, -0.4)])
def test_shear_is_the_one_of_torchvision(x, y):
    image = photograph(40)
    ours = warp(image, geometry.shearing(one(x), one(y), 1.0), square(40))
    degrees = [math.degrees(math.atan(each)) for each in (x, y)]
    theirs = reference.affine(image, 0.0, [0, 0], 1.0, degrees, BILINEAR)
    torch.testing.assert_close(inside(ours, 9), inside(theirs, 9), rtol=0, atol=0.02)
    backwards = warp(image, geometry.shearing(one(-x), one(-y), 1.0), square(40))
    assert not torch.allclose(inside(backwards, 9), inside(theirs, 9), atol=1.0)


def test_a_wide_image_slants_by_pixels_a_pixel():
    height, width, x, y = 24, 48, 0.2, -0.1
    seen = warp(coordinates(height, width), geometry.shearing(one(x), one(y), width / height), square(32)).double()
    right, down = coordinates(32, 32)[0].double() * torch.tensor([width / 32, height / 32])[:, None, None]
    slanted = down + y * right
    wanted = torch.stack([right + x * slanted, slanted])[None]
    torch.testing.assert_close(inside(seen, 8), inside(wanted, 8), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("x", "y"), [(0.2, 0.0), (-0.1, 0.15)])
def test_tilt_is_the_perspective_of_pillow(x, y):
    image, size = photograph(40), 40
    depth = 1 - x - y  # at the corner where Pillow begins to count; its formula divides by it
    coefficients = [
        (1 + x) / depth,  # half a side, times (X + the depth), over the depth: written out in pixels
        y / depth,
        -(x + y) / depth * size / 2,
        x / depth,
        (1 + y) / depth,
        -(x + y) / depth * size / 2,
        2 * x / size / depth,
        2 * y / size / depth,
    ]
    theirs = torch.stack(
        [
            torch.from_numpy(
                numpy.array(
                    Image.fromarray(channel.numpy()).transform(
                        (size, size), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
                    )
                )
            )
            for channel in image[0]
        ]
    )
    ours = warp(image, geometry.tilting(one(x), one(y)), square(size))[0]
    backwards = warp(image, geometry.tilting(one(-x), one(-y)), square(size))[0]
    torch.testing.assert_close(inside(ours, 8), inside(theirs, 8), rtol=0, atol=0.02)
    assert not torch.allclose(inside(backwards, 8), inside(theirs, 8), atol=1.0)


def test_a_wide_image_rotates_without_shear():
    height, width, angle = 24, 48, math.radians(20)
    seen = warp(coordinates(height, width), geometry.rotation(one(20.0), width / height), square(32))
    x, y = coordinates(32, 32)[0].double() * torch.tensor([width / 32, height / 32])[:, None, None]
    wanted = torch.stack([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)])[None]
    torch.testing.assert_close(inside(seen.double(), 10), inside(wanted, 10), rtol=0, atol=1e-4)
    sheared = warp(coordinates(height, width), geometry.rotation(one(20.0), 1.0), square(32))
    assert not torch.allclose(inside(sheared.double(), 10), inside(wanted, 10), atol=0.5)


@pytest.mark.parametrize("size", [27, 28, 32])
def test_the_identity_leaves_every_bit(size):
    images = photograph(size, batch=2)
    turned = torch.cat([torch.eye(3, dtype=torch.float64)[None], geometry.rotation(one(9.0), 1.0)])
    seen = warp(images, turned, square(size))
    assert torch.equal(seen[0], images[0])
    assert not torch.equal(seen[1], images[1])


def test_one_warp_equals_the_chain_at_high_resolution():
    image = photograph(512)
    steps = [
        geometry.rotation(one(12.0), 1.0),
        geometry.scaling(one(-0.8), one(0.8)),
        geometry.translation(one(0.1), one(-0.05)),
    ]
    chained = image
    for step in steps:
        chained = warp(chained, step, square(512))
    at_once = warp(image, steps[0] @ steps[1] @ steps[2], square(512))
    torch.testing.assert_close(inside(at_once, 110), inside(chained, 110), rtol=0, atol=1.0)
    backwards = warp(image, steps[2] @ steps[1] @ steps[0], square(512))
    assert (inside(backwards, 110) - inside(chained, 110)).abs().max() > 5


def test_a_perspective_beside_it_changes_no_bit_of_an_affine_sample():
    images = photograph(28, batch=2)
    affine = geometry.rotation(torch.tensor([9.0, 5.0], dtype=torch.float64), 1.0)
    bent = affine.clone()
    bent[1, 2, 0] = 0.1
    assert torch.equal(warp(images, affine, square(28))[0], warp(images, bent, square(28))[0])


@given(ANGLES, ASPECTS)
def test_turning_back_is_the_inverse(angle, aspect):
    there, back = geometry.rotation(one(angle), aspect), geometry.rotation(one(-angle), aspect)
    torch.testing.assert_close(there @ back, torch.eye(3, dtype=torch.float64)[None], rtol=0, atol=1e-9)


@given(ANGLES, ANGLES, ASPECTS)
def test_two_turns_are_the_turn_by_their_sum(first, second, aspect):
    both = geometry.rotation(one(first), aspect) @ geometry.rotation(one(second), aspect)
    torch.testing.assert_close(both, geometry.rotation(one(first + second), aspect), rtol=0, atol=1e-9)


@given(FACTORS, FACTORS, st.floats(-1, 1), st.floats(-1, 1))
def test_scaling_and_translation_are_undone_by_their_inverses(x, y, right, down):
    eye = torch.eye(3, dtype=torch.float64)[None]
    torch.testing.assert_close(geometry.scaling(one(x), one(y)) @ geometry.scaling(one(1 / x), one(1 / y)), eye)
    torch.testing.assert_close(
        geometry.translation(one(right), one(down)) @ geometry.translation(one(-right), one(-down)), eye
    )


@given(st.floats(0, 0.99), st.floats(1, 4), ASPECTS, st.integers(0, 1000))
def test_a_crop_never_leaves_the_image(cut, aspect_factor, aspect, epoch):
    matrices = geometry.crop(cut, aspect_factor)(Draws(0, epoch, torch.arange(16)), aspect)
    corners = torch.tensor([[-1.0, -1.0, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64).T
    assert (matrices @ corners).abs().max() <= 1 + 1e-9


MAPS = {
    "crop": geometry.crop(0.5, 1.5),
    "flip": geometry.flip(0.5),
    "rotate": geometry.rotate(180.0),
    "shear": geometry.shear(0.4),
    "zoom": geometry.zoom(1.4),
    "shift": geometry.shift(0.2),
    "perspective": geometry.perspective(0.5),
}


@given(st.lists(st.sampled_from(list(MAPS)), min_size=1, max_size=7), st.integers(0, 1000), ASPECTS)
def test_maps_in_one_take_every_point_where_the_maps_one_by_one_take_it(names, epoch, aspect):
    draws, policy = Draws(0, epoch, torch.arange(4)), Policy(geometry=tuple(MAPS[name] for name in names))
    at_once = Transform(policy, square(8), (0.0,), (1.0,))._geometry(draws, aspect)
    points = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(epoch)) - 0.5
    homogeneous = torch.cat([points, torch.ones(5, 1)], dim=1)
    for row in range(4):
        seen = homogeneous @ at_once[row].T
        chained = points
        for name in reversed(names):  # from the output back to the image
            matrix = MAPS[name](draws, aspect)[row]
            moved = torch.cat([chained, torch.ones(5, 1)], dim=1) @ matrix.T
            chained = moved[:, :2] / moved[:, 2:]
        torch.testing.assert_close(seen[:, :2] / seen[:, 2:], chained, rtol=1e-6, atol=1e-6)


@given(st.floats(0, 0.99), st.integers(0, 1000))
def test_no_pixel_of_a_tilted_picture_lies_behind_the_eye(tilt, epoch):
    matrices = geometry.perspective(tilt)(Draws(0, epoch, torch.arange(50)), 1.0)
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)], dtype=torch.float64)
    depths = matrices[:, 2] @ corners.T
    assert depths.min() >= 1 - tilt - 1e-9 and depths.max() <= 1 + tilt + 1e-9


def test_the_greatest_tilt_and_slant_are_those_that_the_options_say():
    draws = Draws(0, 0, torch.arange(20_000))
    tilts = geometry.perspective(0.3)(draws, 1.0)[:, 2, :2]
    greatest = tilts.abs().sum(dim=1)
    assert 0.299 < greatest.max() <= 0.3 + 1e-9 and tilts.mean(dim=0).abs().max() < 0.003
    assert torch.corrcoef(tilts.T)[0, 1].abs() < 0.03
    slants = geometry.shear(0.2)(draws, 1.0)[:, [0, 1], [1, 0]]
    assert 0.199 < slants.abs().max() <= 0.2 and torch.corrcoef(slants.T)[0, 1].abs() < 0.03


def test_draws_have_the_distribution_that_their_options_say():
    draws = Draws(3, 1, torch.arange(20_000))
    flipped = geometry.flip(0.3)(draws, 1.0)[:, 0, 0] < 0
    assert flipped.double().mean().item() == pytest.approx(0.3, abs=0.01)
    matrices = geometry.rotate(15.0)(draws, 1.0)
    angles = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert angles.abs().max() <= 15 and angles.mean().abs() < 0.2
    assert angles.std().item() == pytest.approx(15 / math.sqrt(3), rel=0.02)
    logs = geometry.zoom(1.5)(draws, 1.0)[:, 0, 0].log()
    assert logs.abs().max() <= math.log(1.5) and logs.mean().abs() < 0.01
    moved = geometry.shift(0.1)(draws, 1.0)[:, :2, 2]
    assert moved.abs().max() <= 0.2 and moved.std(dim=0).tolist() == pytest.approx([0.2 / math.sqrt(3)] * 2, rel=0.02)
    assert torch.corrcoef(moved.T)[0, 1].abs() < 0.03
    areas = geometry.crop(0.4, 1.0)(draws, 1.0)[:, [0, 1], [0, 1]].prod(dim=1)
    assert 0.6 <= areas.min() < 0.61 and 0.99 < areas.max() <= 1


def test_a_crop_has_the_aspect_that_its_options_say_beside_that_of_a_wide_image():
    matrices = geometry.crop(0.9, 2.0)(Draws(0, 0, torch.arange(5000)), 1.6)
    width, height = matrices[:, 0, 0], matrices[:, 1, 1]
    whole = (width < 1) & (height < 1)
    ratios = (width / height)[whole]
    assert whole.sum() > 2000 and 0.5 - 1e-6 <= ratios.min() < 0.52 and 1.9 < ratios.max() <= 2 + 1e-6


RECTANGLES = [Size(24, 40), Size(44, 26)]


def landscape(size):
    """Smooth noise in the shape of the size, (1, 3, height, width) in [0, 255]."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return 255 * F.interpolate(coarse, size, mode="bicubic", align_corners=False).clamp(0, 1)


@pytest.mark.parametrize("size", RECTANGLES)
@pytest.mark.parametrize(
    ("angle", "factor", "right", "down"), [(20.0, 1.0, 0, 0), (-35.0, 1.2, 2, -3), (0.0, 0.9, 3, 1)]
)
def test_a_rectangle_is_turned_zoomed_and_shifted_as_torchvision_does_it(size, angle, factor, right, down):
    image, aspect = landscape(size), size.width / size.height
    matrix = geometry.rotation(one(angle), aspect) @ geometry.scaling(one(1 / factor), one(1 / factor))
    matrix = matrix @ geometry.translation(one(-2 * right / size.width), one(-2 * down / size.height))
    theirs = reference.affine(image, -angle, [right, down], factor, [0.0], BILINEAR)
    torch.testing.assert_close(inside(warp(image, matrix, size), 10), inside(theirs, 10), rtol=0, atol=0.05)
    others = reference.affine(image, angle + 5, [right, down], factor, [0.0], BILINEAR)
    assert not torch.allclose(inside(warp(image, matrix, size), 10), inside(others, 10), atol=1.0)


@pytest.mark.parametrize("size", RECTANGLES)
def test_a_rectangle_slants_as_torchvision_does_it(size):
    image, aspect = landscape(size), size.width / size.height
    ours = warp(image, geometry.shearing(one(0.2), one(-0.1), aspect), size)
    degrees = [math.degrees(math.atan(each)) for each in (0.2, -0.1)]
    theirs = reference.affine(image, 0.0, [0, 0], 1.0, degrees, BILINEAR)
    torch.testing.assert_close(inside(ours, 9), inside(theirs, 9), rtol=0, atol=0.05)


@pytest.mark.parametrize("size", [Size(60, 100), Size(96, 64)])
@pytest.mark.parametrize("angle", [12.0, -45.0, 90.0])
def test_a_square_that_is_turned_in_a_rectangle_stays_the_square_that_pillow_turns(size, angle):
    pixels = numpy.zeros(size, dtype=numpy.uint8)
    row, column = size.height // 2, size.width // 2
    pixels[row - 14 : row + 14, column - 14 : column + 14] = 255
    theirs = torch.from_numpy(numpy.array(Image.fromarray(pixels).rotate(angle, Image.Resampling.BILINEAR)))
    image, aspect = torch.from_numpy(pixels)[None, None].float(), size.width / size.height
    turned = warp(image, geometry.rotation(one(angle), aspect), size, "zeros")[0, 0]
    assert (turned - theirs).abs().max() <= 2
    sheared = warp(image, geometry.rotation(one(angle), 1.0), size, "zeros")[0, 0]
    assert (sheared - theirs).abs().max() > 100


@given(st.integers(2, 40), st.integers(2, 40))
def test_the_identity_leaves_every_bit_of_a_rectangle_and_mirroring_only_moves_them(height, width):
    image = landscape(Size(height, width))
    matrices = torch.cat([geometry.scaling(one(x), one(y)) for x, y in ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0))])
    seen = warp(image.expand(3, -1, -1, -1).contiguous(), matrices, Size(height, width))
    assert torch.equal(seen, torch.cat([image, image.flip(3), image.flip(2)]))


def test_a_crop_without_another_aspect_has_the_proportions_of_the_picture():
    matrices = geometry.crop(0.8, 1.0)(Draws(0, 0, torch.arange(100)), 40 / 24)
    torch.testing.assert_close(matrices[:, 0, 0], matrices[:, 1, 1])
    assert matrices[:, 0, 0].min() < 0.6
