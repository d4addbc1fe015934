"""The blend before the warp, in one kernel: see blend.c."""

import torch
from torch import Tensor

from trainer.aug.sampling import blended
from trainer.kernels.compiled import call
from trainer.kernels.plain import are_plain


def blend(images: Tensor, weights: Tensor) -> Tensor:
    """As aug/sampling.py's `blended`, to the bit."""
    if not are_plain(images, weights):
        return blended(images, weights)
    images, weights = images.contiguous(), weights.contiguous()
    result = torch.empty(images.shape, dtype=torch.float32)
    call("blend", images, weights, result, *images.shape)
    return result
