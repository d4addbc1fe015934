"""From the stored uint8 batch to what the model sees: one warp, one colour matrix that also normalises, then noise."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.aug.policy import Levels, Policy
from trainer.aug.warp import warper
from trainer.rng import Draws

_ALIAS_FREE = 1.5
"""How far the warp may sample down; a larger image is first made smaller with antialiasing."""
_CHUNK_VALUES = 2**21
"""What a CPU works on at a time: 8 MiB of float32, which the outer cache holds. A quarter of it, which the inner one
would hold, is no faster on one thread and 10 to 25 % slower on two: the work between the kernels is not shared."""


@dataclass(frozen=True)
class Transform:
    """Augment (given draws) or only prepare (without) a batch, and normalise it: (x / 255 - mean) / std.

    Called with uint8 (B, C, H, W), C = 1 or 3, on any device; gives (B, C, size, size) of dtype there, worked out in
    float32 and rounded once. A sample comes out the same, bit for bit, whoever its neighbours are. Without draws an
    image of another shape is resized, with antialiasing; nothing else happens to it. Of the policy, item and mix are
    not for this class.
    """

    policy: Policy
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels_last: bool = False
    dtype: torch.dtype = torch.float32

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        batch, channels, height, width = images.shape
        assert images.dtype == torch.uint8 and channels == len(self.mean) == len(self.std) and channels in (1, 3)
        if draws is not None:  # the few numbers a sample are worked out on the CPU: no device computes them otherwise
            draws = replace(draws, samples=draws.samples.cpu())
        geometry = self._geometry(draws, width / height)
        colour = self._colour(draws).to(torch.float32)
        mixes = bool((colour[:, :, :-1] * (1 - torch.eye(channels))).any())
        colour = colour.to(images.device, non_blocking=True).expand(batch, -1, -1)
        images = _fit(images, self.size, exactly=geometry is None)
        warp = None if geometry is None else warper(geometry, self.size, images.device, self.policy.padding)

        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        shape = (batch, channels, self.size, self.size)
        result = torch.empty(shape, dtype=self.dtype, device=images.device, memory_format=layout)
        levels = self._levels(images.device)
        for part in _chunks(images):
            pixels = images[part].float()
            if warp is not None:
                pixels = warp(pixels, part)
            pixels = recolour(pixels, colour[part], mixes)
            for stage in self.policy.after if draws is not None else ():
                assert draws is not None
                pixels = stage(pixels, replace(draws, samples=draws.samples[part]), levels)
            result[part] = pixels.to(self.dtype)  # first the type, then the layout: at once they take twice as long
        return result

    def _levels(self, device: torch.device) -> Levels:
        mean, std = (torch.tensor(each, device=device)[:, None, None] for each in (self.mean, self.std))
        return Levels(-mean / std, (1 - mean) / std)

    def _geometry(self, draws: Draws | None, aspect: float) -> Tensor | None:
        """(B, 3, 3) float64: all maps in one; None where there is nothing to warp."""
        if draws is None or not self.policy.geometry:
            return None
        return reduce(torch.matmul, [draw(draws, aspect) for draw in self.policy.geometry])

    def _colour(self, draws: Draws | None) -> Tensor:
        """(B or 1, C, C + 1) float64: all maps and the normalisation in one, from values of 0 to 255."""
        colour = torch.eye(4, dtype=torch.float64)[None]
        for draw in self.policy.colour if draws is not None else ():
            assert draws is not None
            colour = _homogeneous(draw(draws)) @ colour
        colour = colour[:, :3]
        if len(self.mean) == 1:
            colour = torch.stack([colour[:, 0, :3].sum(dim=1), colour[:, 0, 3]], dim=1)[:, None]
        mean, std = (torch.tensor(each, dtype=torch.float64)[:, None] for each in (self.mean, self.std))
        return torch.cat([colour[:, :, :-1] / 255, colour[:, :, -1:] - mean], dim=2) / std


def recolour(pixels: Tensor, colour: Tensor, mixes: bool) -> Tensor:
    """The pixels (B, C, H, W) after their colour matrices (B, C, C + 1).

    Written as products and sums of whole channels, so that each is rounded in one order: a matrix product is free to
    choose another for another batch. mixes: whether any matrix is more than its diagonal; if none is, one product and
    one sum suffice.
    """
    result = pixels * colour.diagonal(dim1=1, dim2=2)[:, :, None, None]
    for row, column in permutations(range(pixels.shape[1]), 2) if mixes else ():
        result[:, row] += pixels[:, column] * colour[:, row, column, None, None]
    return result.add_(colour[:, :, -1, None, None])


def _homogeneous(colour: Tensor) -> Tensor:
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=colour.dtype).expand(len(colour), 1, 4)
    return torch.cat([colour, last], dim=1)


def _fit(images: Tensor, size: int, exactly: bool) -> Tensor:
    """The images at size x size, or, for the warp, at most so much larger that it can sample them down cleanly."""
    limit = math.floor(size * _ALIAS_FREE)
    height, width = images.shape[-2:]
    shape = (size, size) if exactly else (min(height, limit), min(width, limit))
    if shape == (height, width):
        return images
    pixels = images if images.device.type == "cpu" else images.float()  # only the CPU resizes bytes, and fast
    return F.interpolate(pixels, shape, mode="bilinear", antialias=True, align_corners=False)


def _chunks(images: Tensor) -> Iterator[slice]:
    on_cpu = images.device.type == "cpu"
    length = max(1, _CHUNK_VALUES // images[0].numel()) if on_cpu and len(images) else max(1, len(images))
    return (slice(start, start + length) for start in range(0, len(images), length))
