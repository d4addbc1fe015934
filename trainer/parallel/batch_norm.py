"""Batch norm whose figures are those of the whole batch, whatever part of it each process has."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.errors import ConfigError

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ACTIVATING = "BatchNormAct2d"
"""timm's, of most of its convolutional networks. Told by its name: whoever has one has imported it."""


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm that in training takes mean and variance over all ranks: in float32, each rank by its own count.

    torch's SyncBatchNorm does it on GPUs alone.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Of any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        ones = torch.ones(x.shape[1], device=x.device)
        weight, bias = (self.weight, self.bias) if self.affine else (ones, 0 * ones)
        normed, mean, variance, count = _Norm.apply(x, weight, bias, self.eps)
        self._follow(mean, variance * (count / (count - 1)))
        result: Tensor = normed
        return result

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """The running figures, by a fixed momentum or as the mean of all so far."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SharedBatchNormAct(SharedBatchNorm):
    """The same in the place of timm's BatchNormAct2d, which drops and activates as well."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(self.drop(super().forward(x)))  # type: ignore[operator]
        return result


def share_norms(model: nn.Module) -> None:
    """Lets the batch norms of a model take the whole batch's figures. Names and weights stay what they are.

    Raises ConfigError if it has one of a kind that is not known here.
    """
    for module in model.modules():
        kind = type(module)
        if kind in _KINDS:
            module.__class__ = SharedBatchNorm
        elif kind.__name__ == _ACTIVATING:
            module.__class__ = SharedBatchNormAct
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ConfigError(
                f"sync_batch_norm: the network has a batch norm of a kind of its own, {kind.__name__}, which cannot "
                "take the figures of the whole batch. Leave sync_batch_norm out."
            )


class _Norm(torch.autograd.Function):
    """x (B, C, …) -> the same shape and type; and mean, variance, both (C,), and count of the whole batch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        others, values = [0, *range(2, x.dim())], x.float()
        own = values.mean(others)
        spread = (values - _beside(own, x)).square().sum(others)
        figures = torch.cat([own, spread, own.new_full((1,), x.numel() // x.shape[1])])
        of_all = [torch.empty_like(figures) for _ in range(dist.get_world_size())]
        dist.all_gather(of_all, figures)
        # (N, C), (N, C), (N, 1)
        means, spreads, counts = torch.split(torch.stack(of_all), [len(own), len(own), 1], dim=1)
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        variance = (spreads + counts * (means - mean).square()).sum(0) / count
        inverse_std = (variance + eps).rsqrt()
        normed = (values - _beside(mean, x)) * _beside(inverse_std, x)
        ctx.save_for_backward(normed, weight, inverse_std, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return (normed * _beside(weight, x) + _beside(bias, x)).to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        normed, weight, inverse_std, count = ctx.saved_tensors
        grad = grads[0].float()
        others = [0, *range(2, grad.dim())]
        of_bias, of_weight = grad.sum(others), (grad * normed).sum(others)
        sums = torch.cat([of_bias, of_weight])
        dist.all_reduce(sums)
        total, along = (sums / count).chunk(2)
        scale = _beside(weight * inverse_std, grad)
        of_x = (grad - _beside(total, grad) - normed * _beside(along, grad)) * scale
        return of_x.to(grads[0].dtype), of_weight, of_bias, None


def _beside(figures: Tensor, x: Tensor) -> Tensor:
    """(C,) as (1, C, 1, …), to go with x."""
    return figures.view(1, -1, *[1] * (x.dim() - 2))
