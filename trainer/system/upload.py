"""From the CPU to the device, in one place: so that no copy makes the host wait."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

_ALIGNMENT = 16
"""In bytes: what a tensor of any type may begin at."""


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; on CUDA the host goes on at once, and the copy runs beside the computation.

    One that lies there already stays.
    """
    return tensor if tensor.device.type == device.type else upload_all([tensor], device)[0]


def upload_all(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """As upload, all of them in one copy: each costs the host of a GPU as much as a kernel does."""
    if device.type != "cuda" or not tensors:
        return [tensor.to(device) for tensor in tensors]
    # Untested from here on a GPU; tested on an emulated one. Memory that is not pinned would wait for the whole stream.
    ends = list(accumulate(-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors))
    pinned = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=True)
    for here, tensor in zip(_parts(pinned, ends, tensors), tensors, strict=True):
        here.copy_(tensor)
    return _parts(pinned.to(device, non_blocking=True), ends, tensors)


def _parts(room: Tensor, ends: Sequence[int], of: Sequence[Tensor]) -> list[Tensor]:
    """The part of the room for each of these, in its type and shape."""
    starts = (0, *ends[:-1])
    return [
        room[start : start + each.nbytes].view(each.dtype).view(each.shape)
        for start, each in zip(starts, of, strict=True)
    ]
