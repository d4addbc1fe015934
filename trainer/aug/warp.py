"""The one warp: every image of a batch sampled once, wherever its matrix says."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["reflection", "border", "zeros"]


def warp(images: Tensor, matrices: Tensor, size: int, padding: Padding = "reflection") -> Tensor:
    """The images (B, C, size, size) as their matrices see them, bilinear.

    images: (B, C, H, W) float. matrices: (B, 3, 3) on the CPU, output to input coordinates in [-1, 1]; the last row
    may hold a perspective. The whole square of the output shows the whole input: the identity squeezes a wide image,
    and leaves one of the size asked for exactly as it is.
    """
    places = _places(matrices.to(torch.float32), size).to(images.device)
    seen = F.grid_sample(images, places.permute(0, 2, 3, 1), "bilinear", padding, align_corners=False)
    if images.shape[-2:] == (size, size):  # grid_sample's own rounding of coordinates moves them by 1e-6 of a pixel
        untouched = (matrices == torch.eye(3, dtype=matrices.dtype)).all(dim=2).all(dim=1).nonzero()[:, 0]
        if len(untouched):
            seen[untouched] = images[untouched]
    return seen


def _places(matrices: Tensor, size: int) -> Tensor:
    """(B, 2, size, size): the input's x and y for every pixel of the output."""
    centres = (2 * torch.arange(size) + 1) / size - 1
    across = matrices[:, :, 0, None] * centres + matrices[:, :, 2, None]
    down = matrices[:, :, 1, None] * centres
    if not matrices[:, 2, :2].any() and bool((matrices[:, 2, 2] == 1).all()):
        return across[:, :2, None, :] + down[:, :2, :, None]
    homogeneous = across[:, :, None, :] + down[:, :, :, None]
    return homogeneous[:, :2] / homogeneous[:, 2:]  # by exactly 1 where there is no perspective: the same bits
