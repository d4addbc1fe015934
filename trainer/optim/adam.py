"""Adam."""

import torch
from torch import nn

from trainer.optim.groups import has_fused, param_groups, with_initial_lr
from trainer.optim.uncompiled import uncompiled
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive, Rate


@OPTIMS.register
def adam(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """Adam: each weight at a rate of its own, from the running mean and square of its gradient.

    Kingma and Ba 2015. weight_decay is added to the gradient (L2), so the divisor evens it out: adamw decays in
    earnest. Torch's own, fused where the device has it.
    """
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    return with_initial_lr(uncompiled(torch.optim.Adam)(groups, lr, (beta1, beta2), eps, fused=has_fused(groups)))
