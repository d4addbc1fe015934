"""Which kernels of this room a model computes with, and the augmentation before it."""

from dataclasses import dataclass

import torch
from torch import nn

from trainer.aug.sampling import Blend, blended
from trainer.kernels.batch_norm import fuse_norms
from trainer.kernels.blend import blend
from trainer.kernels.compiled import library
from trainer.kernels.convolution import choose_convolutions


@dataclass(frozen=True)
class Used:
    """What the layers are computed by, as run.json names it; and a note for the user where it could be faster."""

    name: str = "torch"
    note: str = ""


def use_kernels(model: nn.Module, dtype: torch.dtype) -> Used:
    """Lets the layers of a model on a CPU take the fastest way in this arithmetic, for images in channels last."""
    if dtype == torch.float32:
        found = library()
        if found.kernels is None:
            note = f"kernels=auto: {found.reason}. Torch's own layers are used, which are slower in fp32."
            return Used(note=note if found.reason else "")
        choose_convolutions(model, compiled=True)
        fuse_norms(model)
        return Used(f"compiled {found.name}")
    if dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported():  # no public name in the oldest supported torch
        choose_convolutions(model, tiled=True)
        return Used("matrix products")
    return Used()


def fastest_blend(dtype: torch.dtype) -> Blend:
    """The fastest blend on a CPU, of the same bits either way; compiled only where layers of the model are as well."""
    return blend if dtype == torch.float32 and library().kernels is not None else blended
