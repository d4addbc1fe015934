"""What the optimizers that torch lacks have in common."""

from typing import Any

import torch
from torch import Tensor

from trainer.optim.groups import Group
from trainer.optim.uncompiled import uncompiled


class Stepper(uncompiled(torch.optim.Optimizer)):  # type: ignore[misc]
    """Steps the parameters that have a gradient, a group at a time.

    memories: the names of the tensors that it keeps for each parameter, where its group does not say others; they
    start at zero, with the first gradient.
    """

    def __init__(self, groups: list[Group], memories: tuple[str, ...], **options: Any) -> None:
        super().__init__(groups, {"memories": memories, **options})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            learning = [(each, each.grad) for each in group["params"] if each.grad is not None]
            if learning:
                params, grads = [list(each) for each in zip(*learning, strict=True)]
                self.update(params, grads, [self._state(each, group["memories"]) for each in params], group)

    def update(self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> None:
        """Changes params and states in place; a state holds the memories, and as `step` how many steps it has seen."""
        raise NotImplementedError

    def _state(self, parameter: Tensor, memories: tuple[str, ...]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state |= {"step": 0, **{name: torch.zeros_like(parameter) for name in memories}}
        state["step"] += 1
        return state


def adam_updates(
    grads: list[Tensor], states: list[dict[str, Any]], betas: tuple[float, float], eps: float
) -> list[Tensor]:
    """The gradients' running mean over the root of their running square, both unbiased: what Adam steps along.

    A state holds them as `mean` and `square`, which change in place, and its `step`. Kingma and Ba 2015, algorithm 1.
    """
    beta1, beta2 = betas
    means, squares = [state["mean"] for state in states], [state["square"] for state in states]
    torch._foreach_lerp_(means, grads, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
    updates = list(torch._foreach_div(means, [1 - beta1 ** state["step"] for state in states]))
    divisors = torch._foreach_div(squares, [1 - beta2 ** state["step"] for state in states])
    torch._foreach_sqrt_(divisors)
    torch._foreach_add_(divisors, eps)
    torch._foreach_div_(updates, divisors)
    return updates
