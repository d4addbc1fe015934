"""Averaged weights (EMA): a second copy of the model that follows the first slowly."""

import torch
from torch import nn


def follow(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """averaged <- d * averaged + (1 - d) * model, in place, for weights and float buffers; counters are copied.

    d = min(decay, (1 + step) / (10 + step)): the average forgets the random start at once, as TensorFlow's
    ExponentialMovingAverage does with num_updates.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    theirs, ours = averaged.state_dict(), model.state_dict()
    floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([theirs[name] for name in floats], [ours[name] for name in floats], weight)
    for name in ours.keys() - set(floats):
        theirs[name].copy_(ours[name])
