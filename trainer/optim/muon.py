"""Muon."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainer.optim.groups import Group, param_groups, with_initial_lr
from trainer.optim.stepper import Stepper, adam_updates
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive, Rate

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Jordan's: chosen for a steep start, so that small singular values grow fast; the large ones end at 0.7 to 1.2."""
_ITERATIONS = 5
_LIKE_ADAM = 0.2
"""The root mean square of Adam's updates, as Liu et al. 2025 measured it."""


@OPTIMS.register
def muon(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    momentum: BelowOne = 0.95,
    nesterov: bool = True,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """Muon: a layer's step is its momentum made orthogonal, so that no direction is neglected; AdamW for the rest.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". The steps of layers are scaled to the
    root mean square of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", equation 4), so that lr and
    weight_decay, which is decoupled, mean what they mean there. AdamW steps the last layer, biases, norms, and
    convolutions in groups. A convolution's kernel is taken as a matrix, a row an output channel. Torch's own takes
    matrices alone, and computes in bfloat16; this one computes in the weights' precision.
    """
    layers = _hidden(model)
    groups = param_groups(model, lr, weight_decay, decay_on, stage_decay)
    divided = [part for group in groups for part in _divided(group, layers)]
    return with_initial_lr(Muon(divided, momentum=momentum, nesterov=nesterov, betas=(beta1, beta2), eps=eps))


class Muon(Stepper):
    """The algorithm, for groups that say `memories`: the momentum is that of layers, mean and square are AdamW's."""

    def __init__(self, groups: list[Group], **options: Any) -> None:
        super().__init__(groups, ("mean", "square"), **options)

    def update(self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> None:
        if group["memories"] == ("momentum",):
            updates = self._orthogonal(grads, states, group)
        else:
            updates = adam_updates(grads, states, group["betas"], group["eps"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, updates, alpha=-group["lr"])

    def _orthogonal(self, grads: list[Tensor], states: list[dict[str, Any]], group: Group) -> list[Tensor]:
        momenta = [state["momentum"] for state in states]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        pulls = torch._foreach_lerp(grads, momenta, group["momentum"]) if group["nesterov"] else momenta
        return [orthogonalised(pull.flatten(1)).view_as(pull) for pull in pulls]


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values near 1, by Newton-Schulz iterations, times 0.2 sqrt(its longer side).

    Where U S V^T is the matrix, it becomes U f(f(f(f(f(S / |S|))))) V^T with f(s) = a s + b s^3 + c s^5. The root mean
    square of U V^T is one over the root of the longer side; the factor makes it 0.2, whatever the shape.
    """
    a, b, c = _COEFFICIENTS
    rows, columns = matrix.shape
    x: Tensor = matrix / matrix.norm().clamp(min=1e-7)
    x = x.T if rows > columns else x  # the products below are of the shorter side
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    x = x.T if rows > columns else x
    return x * (_LIKE_ADAM * math.sqrt(max(rows, columns)))


def _hidden(model: nn.Module) -> set[Tensor]:
    """The weights of the convolutions and linear layers, but for the last of them and for convolutions in groups."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return {layer.weight for layer in layers[:-1] if getattr(layer, "groups", 1) == 1}


def _divided(group: Group, layers: set[Tensor]) -> Iterator[Group]:
    """The group's layers, and the rest of it; what is empty is left out."""
    for memories, of_layers in ((("momentum",), True), (("mean", "square"), False)):
        held = [parameter for parameter in group["params"] if (parameter in layers) == of_layers]
        if held:
            yield {**group, "params": held, "memories": memories}
