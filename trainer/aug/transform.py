"""From the stored uint8 batch to what the model sees: one warp, one colour matrix that also normalises, then noise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import permutations

import torch
from torch import Tensor

from trainer.aug.policy import Levels, Policy
from trainer.aug.sampling import Blend, blended, sampler
from trainer.rng import Draws
from trainer.size import Size
from trainer.system.upload import upload_all

_CHUNK_VALUES = 2**21
"""What a CPU works on at a time: 8 MiB of float32, which the outer cache holds. A quarter of it, which the inner one
would hold, is no faster on one thread and 10 to 25 % slower on two: the work between the kernels is not shared."""


@dataclass(frozen=True)
class Transform:
    """Augment (given draws) or only prepare (without) a batch, and normalise it: (x / 255 - mean) / std.

    Called with uint8 (B, C, H, W), C = 1 or 3, on any device; gives (B, C, *size) of dtype there, worked out in
    float32 and rounded once. A sample comes out the same, bit for bit, whoever its neighbours are. Without draws an
    image of another shape is resized, with antialiasing; nothing else happens to it. With them it looks as sharp as
    without, and is the same wherever geometry leaves it in place. Of the policy, item and mix are not for this class.
    """

    policy: Policy
    size: Size
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels_last: bool = False
    dtype: torch.dtype = torch.float32
    blend: Blend = blended

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        batch, channels, height, width = images.shape
        assert images.dtype == torch.uint8 and channels == len(self.mean) == len(self.std) and channels in (1, 3)
        if draws is not None:  # the few numbers a sample are worked out on the CPU: no device computes them otherwise
            draws = replace(draws, samples=draws.samples.cpu())
        geometry = self._geometry(draws, width / height)
        sample, units = sampler(images, geometry, self.size, self.policy.padding, self.blend)
        units = torch.cat([units.expand(-1, 1, channels), torch.ones(len(units), 1, 1)], dim=2)  # an offset has none
        colour = (self._colour(draws) * units).to(torch.float32)
        mixes = bool((colour[:, :, :-1] * (1 - torch.eye(channels))).any())
        colour, *levels = upload_all([colour, *self._levels()], images.device)
        colour = colour.expand(batch, -1, -1)

        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        shape = (batch, channels, *self.size)
        result = torch.empty(shape, dtype=self.dtype, device=images.device, memory_format=layout)
        for part in _chunks(images):
            pixels = recolour(sample(part), colour[part], mixes)
            for stage in self.policy.after if draws is not None else ():
                assert draws is not None
                pixels = stage(pixels, replace(draws, samples=draws.samples[part]), Levels(*levels))
            result[part] = pixels.to(self.dtype)  # first the type, then the layout: at once they take twice as long
        return result

    def _levels(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        return -mean / std, (1 - mean) / std

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


def _chunks(images: Tensor) -> Iterator[slice]:
    on_cpu = images.device.type == "cpu"
    length = max(1, _CHUNK_VALUES // images[0].numel()) if on_cpu and len(images) else max(1, len(images))
    return (slice(start, start + length) for start in range(0, len(images), length))
