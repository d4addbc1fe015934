"""From stored images to what the model sees: resized or warped, with as much detail the one way as the other."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.aug.warp import in_place, mirrored, warper
from trainer.schema import Padding
from trainer.size import Size
from trainer.system.upload import upload

Sample = Callable[[slice], Tensor]
"""Rows of a batch -> their images, float (b, C, *size)."""
Blend = Callable[[Tensor, Tensor], Tensor]
"""As `blended`."""

_ALIAS_FREE = 1.5
"""How far the warp may sample down; a larger image is first made smaller with antialiasing."""
_MATCHED = 0.73
"""Where resizing and warping are to leave the same power: the share of the finest frequency that the model sees. With
it the standard deviation of the Laplacian is the same to 4 %, of photographs and of random pictures with their spectrum
(`tests/test_aug_sampling.py`)."""
_LEAST_STEPS, _MOST_STEPS = 8, 124
"""Of fewer steps a blend would turn the finest waves along both axes over; of more, its sums would not fit into int16,
and it would change the detail by 2 %."""
_LEAST_FREQUENCY = 0.01
"""In radians a pixel: whatever shows more of them at once is blended as much as can be."""
_BLOCK_VALUES = 2**18
"""What is blended at a time: with its sums 2 MiB, which stay in the caches between the passes."""


def sampler(
    images: Tensor, matrices: Tensor | None, size: Size, padding: Padding, blend: Blend
) -> tuple[Sample, Tensor]:
    """What the matrices (B, 3, 3) show of uint8 images (B, C, H, W), a part at a time; and its units, (B or 1, 1, 1).

    units: the grey levels that one step of a value is, float64 on the CPU: to be multiplied in, with whatever else is.
    None, the identity and mirrorings give the image as it is resized, bit for bit. Any other matrix samples it
    bilinearly, which softens it, and may do so from more pixels than are seen, which does the opposite; for both it is
    blended beforehand, so that it has as much detail as if what it shows had been resized.
    """
    still = torch.ones(len(images), dtype=torch.bool) if matrices is None else in_place(matrices)
    if matrices is None or bool(still.all()):
        fitted = fit(images, *size)

        def resized(part: slice) -> Tensor:
            pixels = fitted[part].float()
            return pixels if matrices is None else mirrored(pixels, matrices[part])

        return resized, torch.ones(1, 1, 1, dtype=torch.float64)

    height, width = images.shape[-2:]
    highest, widest = (math.floor(side * _ALIAS_FREE) for side in size)
    source = fit(images, min(height, highest), min(width, widest))
    steps = blend_steps(matrices, tuple(images.shape[-2:]), tuple(source.shape[-2:]), size)
    weights = upload((steps - 4).to(torch.int16), images.device)
    warp = warper(matrices, size, images.device, padding)

    def warped(part: slice) -> Tensor:
        pixels = warp(blend(source[part], weights[part]), part)
        rows = still[part].nonzero()[:, 0]
        if len(rows):
            places = upload(rows, images.device)
            pixels[places] = mirrored(fit(images[part][places], *size).float(), matrices[part][rows])
        return pixels

    return warped, torch.where(still, 1.0, 1 / steps)[:, None, None]


def fit(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 images resized as Pillow does it: bilinear, with antialiasing; those of that shape as they are."""
    if images.shape[-2:] == (height, width):
        return images
    pixels = images if images.device.type == "cpu" else images.float()  # only the CPU resizes bytes, and fast
    resized = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return resized if resized.dtype == torch.uint8 else resized.round_().to(torch.uint8)


def blended(images: Tensor, weights: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float: a pixel's four neighbours, and the pixel its image's weight times, (B,) int16.

    A positive weight softens, a negative one sharpens. Beyond the edges lie their own pixels again. Worked out in
    integers: exactly, and so alike beside any neighbours in the batch.
    """
    batch, channels, height, width = images.shape
    result = torch.empty((batch, channels, height + 2, width + 2), dtype=torch.float32, device=images.device)
    on_cpu = images.device.type == "cpu"
    length = max(1, _BLOCK_VALUES // images[0].numel()) if on_cpu and batch else max(1, batch)
    for start in range(0, batch, length):
        block = slice(start, start + length)
        result[block] = _blended(images[block], weights[block])
    return result[..., 1:-1, 1:-1]


def _blended(images: Tensor, weights: Tensor) -> Tensor:
    """The same in int16 with a border of no meaning, (B, C, H + 2, W + 2).

    Three passes over the padded images, which lie in one long line, with a row beyond each end.
    """
    batch, channels, height, width = images.shape
    row, length = width + 2, batch * channels * (height + 2) * (width + 2)
    line = torch.empty(length + 2 * row, dtype=torch.int16, device=images.device)
    padded = line[row:-row].view(batch, channels, height + 2, width + 2)
    padded[..., 1:-1, 1:-1] = images
    padded[..., 0, :], padded[..., -1, :] = padded[..., 1, :], padded[..., -2, :]
    padded[..., 0], padded[..., -1] = padded[..., 1], padded[..., -2]
    # A place and the one to the left below it: above and to the left of one pixel, to the right and below of another.
    corners = line[: 1 - row] + line[row - 1 :]
    sums = torch.addcmul(corners[:length].view(batch, -1), padded.view(batch, -1), weights[:, None])
    sums.view(-1).add_(corners[row + 1 :][:length])
    return sums.view_as(padded)


def blend_steps(matrices: Tensor, kept: tuple[int, ...], source: tuple[int, ...], size: Size) -> Tensor:
    """(B,) float64: for each matrix the blend after which its warp leaves the power that resizing what is kept leaves.

    kept, source: heights and widths, as stored and as the warp finds them. A blend of n steps, that is of weight n - 4,
    divided by n, gains 1 - 2 / n (1 - cos w) along an axis at frequency w; bilinear sampling leaves 1 - (1 - cos w) / 3
    of the power there, on the mean over all places between pixels.
    """
    maps = matrices.numpy()  # of few numbers, which torch would take five times as long for
    area = np.abs(np.linalg.det(maps) / maps[:, 2, 2] ** 3) * math.prod(source)  # at the centre, in pixels
    side = math.sqrt(math.prod(size))
    frequency = _MATCHED * math.pi * side / np.sqrt(area.clip(1))  # in radians a pixel of the source
    fall = 1 - np.cos(frequency.clip(_LEAST_FREQUENCY, math.pi))
    with np.errstate(divide="ignore"):  # nothing to make up for: as many steps as can be
        steps = 2 * fall / (1 - np.sqrt(_power_left(kept, source, size) / (1 - fall / 3)))
    limited = np.where(steps > 0, steps.clip(_LEAST_STEPS, _MOST_STEPS), steps.clip(-_MOST_STEPS))
    return torch.from_numpy(limited.round())


@cache
def _power_left(kept: tuple[int, ...], source: tuple[int, ...], size: Size) -> float:
    """The power that resizing what is kept leaves, over that which making the source of it has left, along an axis."""
    ratios = (
        _power(before, side, side) / _power(before, after, side)
        for before, after, side in zip(kept, source, size, strict=True)
    )
    return math.sqrt(math.prod(ratios))


def _power(kept: int, side: int, size: int) -> float:
    """The share of a wave's power that resizing to this side leaves, at the frequency that is matched."""
    places = _MATCHED * math.pi * min(1 / _MATCHED, size / kept) * torch.arange(kept, dtype=torch.float64)
    waves = torch.stack([places.cos(), places.sin()])[:, None, None]  # (2, 1, 1, kept)
    resized = F.interpolate(waves, (1, side), mode="bilinear", antialias=True, align_corners=False)
    return resized.square().sum(dim=0).mean().item()
