"""Batch norm in training, with the ReLU after it, in one kernel each way where torch takes two: see batch_norm.c."""

from collections import Counter
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.compiled import call
from trainer.kernels.plain import are_plain

_PANEL = 16


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that rectifies as well, if `rectifies`; by the kernel in float32 training, else as ever."""

    rectifies = False

    def forward(self, images: Tensor) -> Tensor:
        if not self._suits(images):
            normalised = super().forward(images)
            return F.relu_(normalised) if self.rectifies else normalised
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        result: Tensor = _Norm.apply(
            *(images, self.weight, self.bias, self.running_mean, self.running_var),
            *(float(self.eps), float(self.momentum), self.rectifies),
        )
        return result

    def _suits(self, images: Tensor) -> bool:
        return (
            self.training
            and _follows(self)  # one that averages over all batches, as torch.optim.swa_utils asks it to, does not
            and are_plain(images, self.weight, self.bias, self.running_mean, self.running_var)
            and images.dim() == 4
            and images.shape[1] == len(self.weight)
            and images.dtype == self.weight.dtype == torch.float32
            and len(self.weight) % _PANEL == 0
            and images.is_contiguous(memory_format=torch.channels_last)
            and images.numel() > len(self.weight)  # of a single value a channel torch says what is wrong
        )


class ReLU(nn.ReLU):
    """The ReLU that the norm before it has done already."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def fuse_norms(model: nn.Module) -> None:
    """Lets batch norms of the model use the kernel, and do the ReLU that follows them in a Sequential.

    Names and weights stay; but who looks between a norm and its ReLU sees it rectified.
    """
    places = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    for module in model.modules():
        for norm, activation in pairwise(module if type(module) is nn.Sequential else ()):
            if _is_plain(norm) and type(activation) is nn.ReLU and places[id(activation)] == places[id(norm)] == 1:
                norm.rectifies, norm.__class__ = True, BatchNorm2d  # type: ignore[assignment]
                activation.__class__ = ReLU
    for module in model.modules():
        if _is_plain(module):
            module.__class__ = BatchNorm2d


def _is_plain(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and _follows(module)


def _follows(norm: nn.BatchNorm2d) -> bool:
    """Whether it learns a weight and a bias, and follows the running figures by a fixed momentum."""
    return norm.affine and norm.track_running_stats and norm.momentum is not None


class _Norm(torch.autograd.Function):
    """images (B, C, H, W) float32, channels last -> the same shape; the running figures are moved in place."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        eps: float,
        momentum: float,
        rectify: bool,
    ) -> Tensor:
        result, mean, inverse_std = torch.empty_like(images), torch.empty_like(weight), torch.empty_like(weight)
        channels = len(weight)
        figures = (mean, inverse_std, running_mean, running_var)
        rows = images.numel() // channels
        call("batch_norm_forward", images, result, weight, bias, *figures, rows, channels, eps, momentum, rectify)
        ctx.save_for_backward(images, weight, bias, mean, inverse_std)
        ctx.rectify = rectify
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, bias, mean, inverse_std = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        of_images, of_weight, of_bias = torch.empty_like(images), torch.empty_like(weight), torch.empty_like(bias)
        channels = len(weight)
        seen, found = (grad, images, weight, bias, mean, inverse_std), (of_images, of_weight, of_bias)
        call("batch_norm_backward", *seen, *found, images.numel() // channels, channels, ctx.rectify)
        return of_images, of_weight, of_bias, None, None, None, None, None
