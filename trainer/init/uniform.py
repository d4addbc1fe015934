"""Uniform weights between two bounds that follow from the size of the layer; biases start at zero.

A uniform distribution from -bound to bound has the std bound / sqrt(3): the variances are those of the normal kind.
"""

import math
from typing import Literal

from torch import Tensor, nn

from trainer.init.layers import fans, weighted_layers, zero_bias
from trainer.registry import INITS


@INITS.register
def he_uniform(model: nn.Module, batch: Tensor, *, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Uniform weights up to sqrt(6 / fan): the variance of he_normal, without its rare large values.

    He et al. 2015, section 2.2. mode: fan_in keeps the variance of what goes forward, fan_out that of the gradients.
    Every convolution and linear layer is drawn anew; batch is not looked at.
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, math.sqrt(6.0 / (fan_in if mode == "fan_in" else fan_out)))


@INITS.register
def xavier_uniform(model: nn.Module, batch: Tensor, *, mode: Literal["average", "fan_in"] = "average") -> None:
    """Uniform weights up to sqrt(6 / (fan_in + fan_out)): the variance of xavier_normal, without rare large values.

    Glorot and Bengio 2010, equation 16. mode: average is theirs; fan_in gives std 1 / sqrt(fan_in).
    Every convolution and linear layer is drawn anew; batch is not looked at.
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, math.sqrt(6.0 / (fan_in + fan_out) if mode == "average" else 3.0 / fan_in))


def _draw(layer: nn.Conv2d | nn.Linear, bound: float) -> None:
    nn.init.uniform_(layer.weight, -bound, bound)
    zero_bias(layer)
