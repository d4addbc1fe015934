"""Which parameters are decayed: the one place where they are divided into groups."""

from typing import Any

import torch
from torch import nn

from trainer.errors import ConfigError

Group = dict[str, Any]

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_FUSED_DEVICES = ("cpu", "cuda", "mps")


def param_groups(model: nn.Module) -> list[Group]:
    """The parameters that learn, in the model's order: those that decay, then the others with weight_decay 0.

    Biases, the parameters of norms and everything of one dimension do not decay (He et al. 2019, "Bag of tricks",
    section 3.1). Frozen parameters are left out, and so is a group that would be empty. Raises ConfigError if all
    parameters are frozen.
    """
    of_norms = {
        id(parameter) for module in model.modules() if isinstance(module, _NORMS) for parameter in module.parameters()
    }
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_weight = parameter.ndim > 1 and not name.endswith("bias") and id(parameter) not in of_norms
            (decayed if is_weight else plain).append(parameter)
    groups: list[Group] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    if not decayed and not plain:
        raise ConfigError("optim: every parameter of the model is frozen, so nothing can learn. Unfreeze a part of it.")
    return [group for group in groups if group["params"]]


def has_fused(groups: list[Group]) -> bool:
    """Whether torch can step these parameters in one kernel; move the model to its device first."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(each.device.type in _FUSED_DEVICES and each.is_floating_point() for each in parameters)


def with_initial_lr(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer, each group's base rate noted as initial_lr: the schedule's factor multiplies that."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
