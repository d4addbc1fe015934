"""Rectangles of a batch, for what is erased and what is pasted."""

import torch
from torch import Tensor


def inside(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor, size: int, device: torch.device) -> Tensor:
    """(B, 1, size, size) bool on the device: the pixels whose centres lie in each sample's rectangle.

    Edges are (B,) on the CPU, in shares of the picture's side; what lies beyond 0 and 1 is cut off.
    """
    centres = (torch.arange(size) + 0.5) / size
    columns = (left[:, None] <= centres) & (centres < right[:, None])
    rows = (top[:, None] <= centres) & (centres < bottom[:, None])
    return rows.to(device)[:, None, :, None] & columns.to(device)[:, None, None, :]
