"""Adam with decoupled weight decay."""

import torch

from trainer.optim.groups import Group, has_fused, with_initial_lr
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, NonNegative, Positive


@OPTIMS.register
def adamw(
    param_groups: list[Group],
    *,
    lr: Positive = 3e-3,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
) -> torch.optim.Optimizer:
    """AdamW: forgiving about the rate; the choice for a first run and for fine-tuning.

    The decay lr * weight_decay is taken off the weights, not put into the gradient (Loshchilov and Hutter 2019).
    Torch's own, fused where the device has it.
    """
    fused = has_fused(param_groups)
    return with_initial_lr(torch.optim.AdamW(param_groups, lr, (beta1, beta2), eps, weight_decay, fused=fused))
