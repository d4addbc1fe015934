"""Stochastic gradient descent."""

import torch

from trainer.errors import ConfigError
from trainer.optim.groups import Group, has_fused, with_initial_lr
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, NonNegative, Positive


@OPTIMS.register
def sgd(
    param_groups: list[Group],
    *,
    lr: Positive = 0.1,
    momentum: BelowOne = 0.9,
    nesterov: bool = True,
    weight_decay: NonNegative = 5e-4,
) -> torch.optim.Optimizer:
    """SGD with momentum: the choice for convolutional nets, once the rate is right.

    weight_decay is added to the gradient (L2). Torch's own, fused where the device has it. Raises ConfigError for
    Nesterov without momentum.
    """
    if nesterov and momentum == 0:
        raise ConfigError(
            "optim 'sgd': nesterov needs momentum above 0. Set optim.nesterov=false or optim.momentum=0.9."
        )
    fused = has_fused(param_groups)
    return with_initial_lr(torch.optim.SGD(param_groups, lr, momentum, 0, weight_decay, nesterov, fused=fused))
