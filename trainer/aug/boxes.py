"""Rectangles of a batch, for what is erased and what is pasted."""

import torch
from torch import Tensor

from trainer.size import Size
from trainer.system.upload import upload_all


def inside(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor, size: Size, device: torch.device) -> Tensor:
    """(B, 1, *size) bool on the device: the pixels whose centres lie in each sample's rectangle.

    Edges are (B,) on the CPU, in shares of the picture's sides; what lies beyond 0 and 1 is cut off.
    """
    down, across = ((torch.arange(side) + 0.5) / side for side in size)
    columns = (left[:, None] <= across) & (across < right[:, None])
    rows = (top[:, None] <= down) & (down < bottom[:, None])
    rows, columns = upload_all([rows, columns], device)
    return rows[:, None, :, None] & columns[:, None, None, :]
