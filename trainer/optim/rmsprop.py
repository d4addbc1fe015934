"""RMSProp."""

from typing import Literal

import torch
from torch import nn

from trainer.optim.groups import decouple, param_groups, with_initial_lr
from trainer.optim.uncompiled import uncompiled
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive, Rate


@OPTIMS.register
def rmsprop(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    alpha: BelowOne = 0.99,
    eps: Positive = 1e-8,
    momentum: BelowOne = 0.0,
    centered: bool = False,
    weight_decay: NonNegative = 0.0,
    decay: Literal["l2", "decoupled"] = "l2",
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """RMSProp: the gradient over the running root of its square; with sched=plateau a classic pair.

    Tieleman and Hinton 2012, lecture 6.5; centered takes the mean out of the square (Graves 2013, section 4.2).
    decay: whether weight_decay is added to the gradient (l2), or taken off the weights by lr * weight_decay at each
    step (decoupled). Torch's own, which steps many tensors at once on CUDA. Raises ConfigError for decoupled without
    weight_decay.
    """
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    optimizer = uncompiled(torch.optim.RMSprop)(groups, lr, alpha, eps, momentum=momentum, centered=centered)
    if decay == "decoupled":
        decouple(optimizer)
    return with_initial_lr(optimizer)
