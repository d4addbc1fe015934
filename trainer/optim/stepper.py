"""What the optimizers that torch lacks have in common."""

from typing import Any

import torch
from torch import Tensor

from trainer.optim.groups import Group
from trainer.optim.uncompiled import uncompiled


class Stepper(uncompiled(torch.optim.Optimizer)):  # type: ignore[misc]
    """Steps the parameters that have a gradient, a group at a time.

    memories: the names of the tensors that it keeps for each parameter; they start at zero, with the first gradient.
    """

    def __init__(self, groups: list[Group], memories: tuple[str, ...], **options: Any) -> None:
        super().__init__(groups, options)
        self.memories = memories

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            learning = [(each, each.grad) for each in group["params"] if each.grad is not None]
            if learning:
                params, grads = [list(each) for each in zip(*learning, strict=True)]
                self.update(params, grads, [self._state(parameter) for parameter in params], group)

    def update(self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> None:
        """Changes params and states in place; a state holds the memories, and as `step` how many steps it has seen."""
        raise NotImplementedError

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state |= {"step": 0, **{name: torch.zeros_like(parameter) for name in self.memories}}
        state["step"] += 1
        return state
