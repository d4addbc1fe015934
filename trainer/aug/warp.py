"""The one warp: every image of a batch sampled once, wherever its matrix says."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.schema import Padding
from trainer.size import Size
from trainer.system.upload import upload, upload_all


def warp(images: Tensor, matrices: Tensor, size: Size, padding: Padding = "reflection") -> Tensor:
    """The images (B, C, *size) as their matrices see them, bilinear.

    images: (B, C, H, W) float. matrices: (B, 3, 3) on the CPU, output to input coordinates in [-1, 1]; the last row
    may hold a perspective. The whole of the output shows the whole input: the identity squeezes an image of other
    proportions, and leaves one of the size asked for exactly as it is.
    """
    seen = warper(matrices, size, images.device, padding)(images, slice(None))
    if tuple(images.shape[-2:]) == size:  # grid_sample's rounding of coordinates moves them by 1e-6 of a pixel
        rows = in_place(matrices)
        seen[rows] = mirrored(images[rows], matrices[rows])
    return seen


def in_place(matrices: Tensor) -> Tensor:
    """(B,) bool: which (B, 3, 3) move no pixel to a place between pixels: the identity, and what mirrors only."""
    mirroring = (matrices.abs() == torch.eye(3, dtype=matrices.dtype)).all(dim=2).all(dim=1)
    return mirroring & (matrices[:, 2, 2] > 0)


def mirrored(images: Tensor, matrices: Tensor) -> Tensor:
    """The same tensor, in which the images whose matrices say so are now mirrored, left and right or up and down."""
    for axis, entry in ((3, 0), (2, 1)):
        rows = (matrices[:, entry, entry] < 0).nonzero()[:, 0]
        if len(rows):
            rows = upload(rows, images.device)
            images[rows] = images[rows].flip(axis)
    return images


def warper(
    matrices: Tensor, size: Size, device: torch.device, padding: Padding = "reflection"
) -> Callable[[Tensor, slice], Tensor]:
    """The warp of a batch a part at a time: (the part's images, its rows) -> as `warp`.

    What is small is worked out for the whole batch here: for each part anew it would take a tenth of the time.
    """
    across, down = upload_all(_lines(matrices.to(torch.float32), size), device)

    def warp_part(images: Tensor, part: slice) -> Tensor:
        places = across[part, :, None, :] + down[part, :, :, None]  # (B, 2 or 3, H, W)
        if places.shape[1] == 3:
            places = places[:, :2] / places[:, 2:]  # by exactly 1 where there is no perspective: the same bits
        return F.grid_sample(images, places.permute(0, 2, 3, 1), "bilinear", padding, align_corners=False)

    return warp_part


def _lines(matrices: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """What a pixel's column and what its row add to the input's x, y, and where any differs from 1, divisor."""
    rows, columns = ((2 * torch.arange(side) + 1) / side - 1 for side in size)
    across = matrices[:, :, 0, None] * columns + matrices[:, :, 2, None]  # (B, 3, W)
    down = matrices[:, :, 1, None] * rows  # (B, 3, H)
    if not matrices[:, 2, :2].any() and bool((matrices[:, 2, 2] == 1).all()):
        return across[:, :2], down[:, :2]
    return across, down
