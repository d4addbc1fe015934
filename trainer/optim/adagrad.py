"""AdaGrad."""

from typing import Literal

import torch
from torch import nn

from trainer.optim.groups import decouple, has_fused, param_groups, with_initial_lr
from trainer.optim.uncompiled import uncompiled
from trainer.registry import OPTIMS
from trainer.schema import Fraction, NonNegative, Positive, Rate


@OPTIMS.register
def adagrad(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    eps: Positive = 1e-10,
    weight_decay: NonNegative = 0.0,
    decay: Literal["l2", "decoupled"] = "l2",
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """AdaGrad: a rate that shrinks with all the gradients a weight has seen; it suits rare features.

    Duchi et al. 2011. decay: whether weight_decay is added to the gradient (l2), or taken off the weights by
    lr * weight_decay at each step (decoupled). Torch's own, fused where the device has it. Raises ConfigError for
    decoupled without weight_decay.
    """
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    fused = has_fused(groups) and groups[0]["params"][0].device.type == "cpu"  # torch has no other kernel for it
    optimizer = uncompiled(torch.optim.Adagrad)(groups, lr, eps=eps, fused=fused)
    if decay == "decoupled":
        decouple(optimizer)
    return with_initial_lr(optimizer)
