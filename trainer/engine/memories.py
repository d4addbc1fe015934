"""What an optimizer keeps from step to step, saved under the names of the parameters and put back by them."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.parallel.sharded import gathered, like

Memories = Mapping[str, Mapping[str, Any]]
"""Of each parameter that has learnt, by its name: what the optimizer calls a memory -> a tensor or a number."""


def memories_of(optimizer: Optimizer, model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the optimizer keeps now."""
    kept = {name: optimizer.state[each] for name, each in model.named_parameters() if each in optimizer.state}
    return {name: {key: _gathered(memory) for key, memory in memories.items()} for name, memories in kept.items()}


def put_back(optimizer: Optimizer, model: nn.Module, saved: Memories) -> list[str]:
    """Gives each parameter what was saved under its name, if that is of the kind and shape that the optimizer keeps.

    Else it begins anew, at zero. Gives the names of the parameters that have lost something by that. Load the model's
    weights afterwards: those that are not finite may change.
    """
    constructed = set(optimizer.state)
    _make_all(optimizer)
    lost = []
    for name, parameter in model.named_parameters():
        kept, old = optimizer.state.get(parameter), saved.get(name)
        if kept is None:
            continue
        if old is None and parameter not in constructed:
            del optimizer.state[parameter]  # it has not learnt yet
            continue
        fitting = old if old is not None and _fits(old, kept) else {}
        for key, memory in kept.items():
            kept[key] = _filled(memory, fitting.get(key))
        if old is not None and kept and not fitting:
            lost.append(name)
    return lost


def by_name(saved: Mapping[str, Any], optimizer: Optimizer, model: nn.Module) -> Memories:
    """The memories in a state of torch's own kind, as format 1 has it: it counts the parameters, group by group.

    Where the groups are not as long as they were there is no telling which is which, and all have lost theirs.
    """
    now, before = ([group["params"] for group in groups] for groups in (optimizer.param_groups, saved["param_groups"]))
    if list(map(len, now)) != list(map(len, before)):
        return {name: {} for name, _ in model.named_parameters()}
    number_of = dict(zip(chain.from_iterable(now), chain.from_iterable(before), strict=True))
    numbers = {name: number_of.get(each) for name, each in model.named_parameters()}
    return {name: saved["state"][number] for name, number in numbers.items() if number in saved["state"]}


def without_places(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Such a state whose parameters are in other groups now, be they as long: so by_name does not trust it."""
    return {**saved, "param_groups": [{**group, "params": []} for group in saved["param_groups"]]}


def _make_all(optimizer: Optimizer) -> None:
    """Has the optimizer make all that it will ever keep, by a step along no gradient at no rate."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _fits(old: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    return all(key in old and _shape(old[key]) == _shape(memory) for key, memory in kept.items())


def _shape(memory: Any) -> torch.Size | None:
    return memory.shape if isinstance(memory, Tensor) else None


def _gathered(memory: Any) -> Any:
    return gathered(memory) if isinstance(memory, Tensor) else memory


def _filled(memory: Any, content: Any) -> Any:
    """The memory with that content, or at zero: a tensor where it lies, for its layout and device may be other ones."""
    if isinstance(memory, Tensor):
        return memory.zero_() if content is None else memory.copy_(like(content, memory))
    return type(memory)() if content is None else content
