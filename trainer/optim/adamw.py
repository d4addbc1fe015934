"""Adam with decoupled weight decay."""

import torch
from torch import nn

from trainer.optim.groups import has_fused, param_groups, with_initial_lr
from trainer.optim.uncompiled import uncompiled
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive, Rate


@OPTIMS.register
def adamw(
    model: nn.Module,
    *,
    lr: Rate = 3e-3,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """AdamW: forgiving about the rate; the choice for a first run and for fine-tuning.

    The decay lr * weight_decay is taken off the weights, not put into the gradient (Loshchilov and Hutter 2019).
    Torch's own, fused where the device has it.
    """
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    return with_initial_lr(uncompiled(torch.optim.AdamW)(groups, lr, (beta1, beta2), eps, fused=has_fused(groups)))
