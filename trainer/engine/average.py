"""Averaged weights (EMA): a second copy of the model that follows the first slowly."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.parallel.sharded import part


@dataclass(frozen=True)
class Pairs:
    """The tensors of an average and of its model, in one order: listed once, and not at every step."""

    averaged: list[Tensor]
    model: list[Tensor]
    """Weights and float buffers, like the average's."""
    counted: list[Tensor]
    counters: list[Tensor]
    """The others: what of the average becomes what of the model."""


def pairs_of(averaged: nn.Module, model: nn.Module) -> Pairs:
    """Of the two as they are; loading a state into either leaves them valid."""
    theirs, ours = averaged.state_dict(), model.state_dict()
    floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    others = [name for name, tensor in ours.items() if not tensor.is_floating_point()]
    return Pairs(*([part(side[name]) for name in names] for names in (floats, others) for side in (theirs, ours)))


def follow(pairs: Pairs, decay: float, step: int, taken: Tensor | None = None) -> None:
    """averaged <- d * averaged + (1 - d) * model, in place, for weights and float buffers; counters are copied.

    d = min(decay, (1 + step) / (10 + step)): the average forgets the random start at once, as TensorFlow's
    ExponentialMovingAverage does with num_updates. taken: whether the step was taken, a bool on the device; after one
    that was left out nothing moves. None: it was.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    if taken is None:
        torch._foreach_lerp_(pairs.averaged, pairs.model, weight)
    else:  # two sums, of which one is times 1 and one times 0: few kernels, where a weight for each tensor is many
        moved = torch._foreach_lerp(pairs.averaged, pairs.model, weight)
        share = taken.to(torch.float32)
        torch._foreach_mul_(moved, share)
        torch._foreach_mul_(pairs.averaged, 1 - share)
        torch._foreach_add_(pairs.averaged, moved)
    if pairs.counters:
        torch._foreach_copy_(pairs.counted, pairs.counters)
