"""Stochastic gradient descent."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.optim.groups import Group, decouple, has_fused, param_groups, with_initial_lr
from trainer.optim.stepper import Stepper
from trainer.optim.uncompiled import uncompiled
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Rate


@OPTIMS.register
def sgd(
    model: nn.Module,
    *,
    lr: Rate = 0.1,
    momentum: BelowOne = 0.9,
    nesterov: bool = True,
    dampening: BelowOne = 0.0,
    debias: bool = False,
    weight_decay: NonNegative = 5e-4,
    decay: Literal["l2", "decoupled"] = "l2",
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """SGD with momentum: the choice for convolutional nets, once the rate is right.

    The momentum starts at zero and becomes momentum * itself + (1 - dampening) * gradient. debias steps along the true
    mean of the gradients instead: their exponentially weighted sum over the sum of the weights. decay: whether
    weight_decay is added to the gradient (l2), or taken off the weights by lr * weight_decay at each step (decoupled).
    Torch's own, fused where the device has it, but for debias. Raises ConfigError for options that exclude each other.
    """
    if momentum == 0 and (nesterov or dampening or debias):
        word = "nesterov" if nesterov else "dampening" if dampening else "debias"
        off = "0" if word == "dampening" else "false"
        raise ConfigError(f"optim 'sgd': {word} needs momentum above 0. Set optim.{word}={off} or optim.momentum=0.9.")
    if nesterov and (dampening or debias):
        word = "dampening" if dampening else "debias"
        raise ConfigError(f"optim 'sgd': {word} excludes nesterov. Set optim.nesterov=false.")
    if debias and dampening:
        raise ConfigError("optim 'sgd': debias divides dampening out again. Set optim.dampening=0.")
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    optimizer = MeanSGD(groups, momentum) if debias else _sgd_of_torch(groups, lr, momentum, dampening, nesterov)
    if decay == "decoupled":
        decouple(optimizer)
    return with_initial_lr(optimizer)


def _sgd_of_torch(
    groups: list[Group], lr: float, momentum: float, dampening: float, nesterov: bool
) -> torch.optim.Optimizer:
    """Torch's optimizer, with each parameter's momentum at zero beforehand.

    Its fused kernel would take the first gradients for the momentum, would leave it undefined where the scaler skips
    the first step, and fails when some parameters begin to learn later than others.
    """
    kind = uncompiled(torch.optim.SGD)
    optimizer: torch.optim.Optimizer = kind(groups, lr, momentum, dampening, nesterov=nesterov, fused=has_fused(groups))
    for group in optimizer.param_groups if momentum else ():
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


class MeanSGD(Stepper):
    """Steps along the mean of the gradients so far, the recent ones weighted more: debiased momentum."""

    def __init__(self, groups: list[Group], momentum: float) -> None:
        super().__init__(groups, ("mean",), momentum=momentum)

    def update(self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> None:
        pulls = torch._foreach_add(grads, params, alpha=group["weight_decay"])
        means = [state["mean"] for state in states]
        torch._foreach_lerp_(means, pulls, 1 - group["momentum"])
        unbiased = torch._foreach_div(means, [1 - group["momentum"] ** state["step"] for state in states])
        torch._foreach_add_(params, unbiased, alpha=-group["lr"])
