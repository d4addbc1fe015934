"""Averaged weights (EMA): a second copy of the model that follows the first slowly."""

import torch
from torch import Tensor, nn


def follow(averaged: nn.Module, model: nn.Module, decay: float, step: int, taken: Tensor | None = None) -> None:
    """averaged <- d * averaged + (1 - d) * model, in place, for weights and float buffers; counters are copied.

    d = min(decay, (1 + step) / (10 + step)): the average forgets the random start at once, as TensorFlow's
    ExponentialMovingAverage does with num_updates. taken: whether the step was taken, a bool on the device; after one
    that was left out nothing moves. None: it was.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    theirs, ours = averaged.state_dict(), model.state_dict()
    floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    weights = weight if taken is None else [weight * taken] * len(floats)  # many kernels, where one number takes one
    torch._foreach_lerp_([theirs[name] for name in floats], [ours[name] for name in floats], weights)
    for name in ours.keys() - set(floats):
        theirs[name].copy_(ours[name])
