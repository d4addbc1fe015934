"""Noise filters: an image smoothed before anything else sees it. What they remove may be what the model learns from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.data.source import ArraySamples, Samples

_RADIUS = {"median": 1, "gaussian": 2, "bilateral": 2}
_SIGMA = 1.0
"""Pixels: how far the Gaussian and the bilateral filter reach."""
_SIGMA_LEVELS = 25.0
"""Levels of 255: values that differ by much more are another surface to the bilateral filter, and are left out."""
_CHUNK = 256


def denoised(samples: Samples, method: str) -> Samples:
    """The samples after the filter: at once where their pixels are at hand, else whenever one is asked for."""
    if method == "none":
        return samples
    if isinstance(samples, ArraySamples):
        pixels = torch.cat([denoise(chunk, method) for chunk in torch.split(samples.pixels, _CHUNK)])
        return replace(samples, pixels=pixels)
    return Denoised(samples, method)


@dataclass(frozen=True)
class Denoised:
    """Other samples, each filtered after it was read."""

    whole: Samples
    method: str

    @property
    def labels(self) -> Tensor:
        return self.whole.labels

    @property
    def keys(self) -> Sequence[str]:
        return self.whole.keys

    @property
    def groups(self) -> Sequence[str] | None:
        return self.whole.groups

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.whole.shape

    def image(self, index: int) -> Tensor:
        return denoise(self.whole.image(index)[None], self.method)[0]

    def digest(self) -> bytes:
        return hashlib.sha256(self.whole.digest() + self.method.encode()).digest()

    def version(self) -> bytes:
        return hashlib.sha256(self.whole.version() + self.method.encode()).digest()

    def __len__(self) -> int:
        return len(self.whole)


def denoise(images: Tensor, method: str) -> Tensor:
    """uint8 (B, C, H, W) in and out, each channel by itself; beyond the edge its last pixel goes on.

    median: of 3 x 3 pixels. gaussian: sigma 1 pixel, over 5 x 5. bilateral (Tomasi and Manduchi 1998): that Gaussian,
    with pixels weighted down whose value is far from the middle one's (sigma 25 of 255), so that edges stay.
    """
    near = neighbours(images.float(), _RADIUS[method])  # (K, B, C, H, W)
    if method == "median":
        return near.median(dim=0).values.to(torch.uint8)
    weights = _gaussian(_RADIUS[method])[:, None, None, None, None]
    if method == "bilateral":
        weights = weights * torch.exp(-((near - images) ** 2) / (2 * _SIGMA_LEVELS**2))
    return ((near * weights).sum(0) / weights.sum(0)).round().to(torch.uint8)


def neighbours(images: Tensor, radius: int) -> Tensor:
    """(B, C, H, W) -> (K, B, C, H, W): the K = (2 * radius + 1)^2 pixels around each."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    side = range(2 * radius + 1)
    return torch.stack([padded[..., y : y + height, x : x + width] for y in side for x in side])


def _gaussian(radius: int) -> Tensor:
    """(K,): the weight of each neighbour, unnormalised."""
    line = torch.exp(-(torch.arange(-radius, radius + 1) ** 2) / (2 * _SIGMA**2))
    return torch.outer(line, line).flatten()
