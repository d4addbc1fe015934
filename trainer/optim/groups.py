"""Which parameters learn at what rate, and which are decayed: the one place where they are divided into groups."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainer.errors import ConfigError, did_you_mean
from trainer.parallel.sharded import is_sharded

Group = dict[str, Any]

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_FUSED_DEVICES = ("cpu", "cuda", "mps")


def param_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float = 0.0,
    decay_on: Sequence[str] | None = None,
    stage_decay: float = 1.0,
) -> list[Group]:
    """The parameters that learn, in the model's order, one group for each rate and decay that there is.

    Biases, the parameters of norms and everything of one dimension do not decay (He et al. 2019, "Bag of tricks",
    section 3.1). decay_on: patterns for the names of the weights, or of the modules that hold them, that do; None for
    all. stage_decay: the last of model.stages learns at lr, each one before at the rate of the next times this. Frozen
    parameters are left out. Raises ConfigError if all are frozen, for a pattern that no weight fits, and for patterns
    without a decay.
    """
    rates = _rates(model, lr, stage_decay)
    decayed = _decayed(model)
    if decay_on is not None:
        decayed = _chosen(decayed, decay_on, weight_decay)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if name in decayed else 0.0
            groups.setdefault((rates.get(parameter, lr), decay), []).append(parameter)
    if not groups:
        raise ConfigError("optim: every parameter of the model is frozen, so nothing can learn. Unfreeze a part of it.")
    return [{"params": held, "lr": rate, "weight_decay": decay} for (rate, decay), held in groups.items()]


def has_fused(groups: list[Group]) -> bool:
    """Whether torch can step these parameters in one kernel; move the model to its device first."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(
        each.device.type in _FUSED_DEVICES and each.is_floating_point() and not is_sharded(each) for each in parameters
    )


def with_initial_lr(optimizer: Optimizer) -> Optimizer:
    """The optimizer, each group's base rate noted as initial_lr: the schedule's factor multiplies that."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def decouple(optimizer: Optimizer) -> None:
    """Takes the decay out of the gradient: from now on each step first shrinks the weights by lr * weight_decay.

    So the decay passes through neither momentum nor the adaptive divisor (Loshchilov and Hutter 2019, algorithms 1, 2).
    Raises ConfigError if no group has any.
    """
    if not any(group["weight_decay"] for group in optimizer.param_groups):
        raise ConfigError("optim.decay: it cannot act with optim.weight_decay=0. Set optim.weight_decay=0.01, say.")
    for group in optimizer.param_groups:
        group["decoupled_decay"], group["weight_decay"] = group["weight_decay"], 0.0
    optimizer.register_step_pre_hook(_shrink)


@torch.no_grad()
def _shrink(optimizer: Optimizer, *_: Any) -> None:
    taken = 1 - getattr(optimizer, "found_inf", 0)  # the scaler calls a fused optimizer for a step to be skipped, too
    for group in optimizer.param_groups:
        learning = [parameter for parameter in group["params"] if parameter.grad is not None]
        if group["decoupled_decay"] and learning:
            torch._foreach_mul_(learning, 1 - group["lr"] * group["decoupled_decay"] * taken)


def _rates(model: nn.Module, lr: float, stage_decay: float) -> dict[nn.Parameter, float]:
    """The rate of each parameter whose stage learns at another than lr."""
    if stage_decay == 1:
        return {}
    stages: Sequence[nn.Module] = model.stages  # type: ignore[assignment]  # the model room has checked them
    depths = reversed(range(len(stages)))
    return {
        parameter: lr * stage_decay**depth
        for stage, depth in zip(stages, depths, strict=True)
        for parameter in stage.parameters()
    }


def _decayed(model: nn.Module) -> set[str]:
    of_norms = {
        id(parameter) for module in model.modules() if isinstance(module, _NORMS) for parameter in module.parameters()
    }
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and not name.endswith("bias") and id(parameter) not in of_norms
    }


def _chosen(names: set[str], patterns: Sequence[str], weight_decay: float) -> set[str]:
    if weight_decay == 0:
        raise ConfigError("optim.decay_on: it cannot act with optim.weight_decay=0. Set optim.weight_decay=0.01, say.")
    for pattern in patterns:
        if not any(_fits(name, pattern) for name in names):
            modules = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
            near = did_you_mean(pattern, sorted(modules)) or f" There is {', '.join(sorted(names)[:10])}, …"
            raise ConfigError(f"optim.decay_on: no weight of the model has a name like '{pattern}'.{near}")
    return {name for name in names if any(_fits(name, pattern) for pattern in patterns)}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
