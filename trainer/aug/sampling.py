"""From stored images to what the model sees: resized or warped, with as much detail the one way as the other."""

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.aug.warp import in_place, mirrored, warper
from trainer.schema import Padding

Sample = Callable[[slice], Tensor]
"""Rows of a batch -> their images, float (b, C, size, size)."""

_ALIAS_FREE = 1.5
"""How far the warp may sample down; a larger image is first made smaller with antialiasing. Beyond it `blended` could
not soften enough: its weight for the finest frequencies along both axes comes to nothing there."""
_MATCHED = 0.73
"""Where resizing and warping are to leave the same power: the share of the finest frequency that the model sees. With
it the standard deviation of the Laplacian is the same to 3 %, of photographs and of random pictures with their spectrum
(`tests/test_aug_sampling.py`)."""
_FAINTEST = 100
"""A blend of one to so many changes the detail by 3 %, and is not worth its time."""
_BLOCK_VALUES = 2**18
"""What is blended at a time: with its sums 2 MiB, which stay in the caches between the passes."""


def sampler(images: Tensor, matrices: Tensor | None, size: int, padding: Padding) -> tuple[Sample, Tensor]:
    """What the matrices (B, 3, 3) show of uint8 images (B, C, H, W), a part at a time; and its units, (B or 1, 1, 1).

    units: the grey levels that one step of a value is, float64 on the CPU: to be multiplied in, with whatever else is.
    None, the identity and mirrorings give the image as it is resized, bit for bit. Any other matrix samples it
    bilinearly, which softens; that is made up for beforehand, so that it has the detail of the resized one.
    """
    still = torch.ones(len(images), dtype=torch.bool) if matrices is None else in_place(matrices)
    if matrices is None or bool(still.all()):
        fitted = fit(images, size, size)

        def resized(part: slice) -> Tensor:
            pixels = fitted[part].float()
            return pixels if matrices is None else mirrored(pixels, matrices[part])

        return resized, torch.ones(1, 1, 1, dtype=torch.float64)

    height, width = images.shape[-2:]
    most = math.floor(size * _ALIAS_FREE)
    source = fit(images, min(height, most), min(width, most))
    steps = blend_steps(tuple(images.shape[-2:]), tuple(source.shape[-2:]), size)
    warp = warper(matrices, size, images.device, padding)

    def warped(part: slice) -> Tensor:
        pixels = warp(source[part].float() if steps is None else blended(source[part], steps), part)
        rows = still[part].nonzero()[:, 0]
        if len(rows):
            places = rows.to(images.device, non_blocking=True)
            pixels[places] = mirrored(fit(images[part][places], size, size).float(), matrices[part][rows])
        return pixels

    return warped, torch.where(still, 1.0, 1 / (steps or 1)).double()[:, None, None]


def fit(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 images resized as Pillow does it: bilinear, with antialiasing; those of that shape as they are."""
    if images.shape[-2:] == (height, width):
        return images
    pixels = images if images.device.type == "cpu" else images.float()  # only the CPU resizes bytes, and fast
    resized = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return resized if resized.dtype == torch.uint8 else resized.round_().to(torch.uint8)


def blended(images: Tensor, steps: int) -> Tensor:
    """uint8 (B, C, H, W) -> float, `steps` times as bright: each pixel's four neighbours, and itself steps - 4 times.

    Few positive steps soften, negative ones sharpen. Beyond the edges lie their own pixels again. Worked out in
    integers: exactly, and so alike beside any neighbours in the batch.
    """
    result = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    on_cpu = images.device.type == "cpu"
    length = max(1, _BLOCK_VALUES // images[0].numel()) if on_cpu and len(images) else max(1, len(images))
    for start in range(0, len(images), length):
        result[start : start + length] = _blended(images[start : start + length], steps - 4)
    return result


def _blended(images: Tensor, weight: int) -> Tensor:
    """The neighbours, and weight times the pixel, int16: in three passes over the padded images as one long line."""
    batch, channels, height, width = images.shape
    padded = torch.empty((batch, channels, height + 2, width + 2), dtype=torch.int16, device=images.device)
    padded[..., 1:-1, 1:-1] = images
    padded[..., 0, :], padded[..., -1, :] = padded[..., 1, :], padded[..., -2, :]
    padded[..., 0], padded[..., -1] = padded[..., 1], padded[..., -2]
    line, row = padded.view(-1), width + 2
    corners = line[: 1 - row] + line[row - 1 :]  # a pixel and the one to the left below it, which is
    result = torch.empty_like(padded)  # what lies above and to the left of one place, to the right and below of another
    inner = result.view(-1)[row:-row]
    torch.add(corners[: len(inner)], line[row:-row], alpha=weight, out=inner).add_(corners[row + 1 :])
    return result[..., 1:-1, 1:-1]


@cache
def blend_steps(kept: tuple[int, int], source: tuple[int, int], size: int) -> int | None:
    """The blend of the source after which a warp leaves the power that resizing what is kept leaves; None: as it is.

    kept, source: heights and widths. A blend of n steps gains 1 - 2 / n (1 - cos w) along an axis at frequency w.
    """
    strength = sum(_strength(*sides, size) for sides in zip(kept, source, strict=True)) / 2
    return round(-1 / strength) if abs(strength) > 1 / _FAINTEST else None


def _strength(kept: int, source: int, size: int) -> float:
    """-1 / n along one axis."""
    frequency = _MATCHED * math.pi * min(1, size / kept)  # in radians a kept pixel
    fall = 1 - math.cos(frequency * kept / source)
    warped = _power(frequency, kept, source) * (1 - fall / 3)  # bilinear, on the mean over all places between pixels
    return (math.sqrt(_power(frequency, kept, size) / warped) - 1) / (2 * fall)


def _power(frequency: float, *sides: int) -> float:
    """The share of a wave's power that resizing from side to side leaves."""
    places = frequency * torch.arange(sides[0], dtype=torch.float64)
    waves = torch.stack([places.cos(), places.sin()])[:, None, None]  # (2, 1, 1, side)
    for _, side in pairwise(sides):
        waves = F.interpolate(waves, (1, side), mode="bilinear", antialias=True, align_corners=False)
    return waves.square().sum(dim=0).mean().item()
