"""LAMB."""

from typing import Any

import torch
from torch import Tensor, nn

from trainer.optim.groups import Group, param_groups, with_initial_lr
from trainer.optim.stepper import Stepper, adam_updates
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive, Rate


@OPTIMS.register
def lamb(
    model: nn.Module,
    *,
    lr: Rate = 0.02,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-6,
    weight_decay: NonNegative = 0.02,
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """LAMB: AdamW whose step is as long as each layer's weights are; for very large batches.

    You et al. 2020, "Large batch optimization for deep learning", algorithm 2, with phi(z) = z. The decay is part of
    the step that is scaled.
    """
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    return with_initial_lr(Lamb(groups, (beta1, beta2), eps))


class Lamb(Stepper):
    """The algorithm. Tensors of one dimension (biases, norms) step as in AdamW, as in the authors' own code."""

    def __init__(self, groups: list[Group], betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups, ("mean", "square"), betas=betas, eps=eps)

    def update(self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> None:
        updates = adam_updates(grads, states, group["betas"], group["eps"])
        torch._foreach_add_(updates, params, alpha=group["weight_decay"])
        for update, ratio in zip(updates, _trust(params, updates), strict=True):
            update.mul_(ratio)
        torch._foreach_add_(params, updates, alpha=-group["lr"])


def _trust(params: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """Length of the weights over length of the update, for each tensor; 1 where either is 0, or one-dimensional."""
    lengths = zip(torch._foreach_norm(params), torch._foreach_norm(updates), strict=True)
    ratios = [torch.where((weights > 0) & (update > 0), weights / update, 1.0) for weights, update in lengths]
    return [ratio if each.ndim > 1 else torch.ones_like(ratio) for each, ratio in zip(params, ratios, strict=True)]
