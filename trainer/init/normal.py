"""Normal weights whose spread follows from the size of the layer; biases start at zero."""

import math
from typing import Literal

from torch import Tensor, nn

from trainer.init.layers import fans, weighted_layers
from trainer.registry import INITS


@INITS.register
def he_normal(model: nn.Module, batch: Tensor, *, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Normal weights of std sqrt(2 / fan), which keep the variance through ReLU layers.

    He et al. 2015, "Delving Deep into Rectifiers", section 2.2. mode: fan_in keeps the variance of what goes forward,
    fan_out that of the gradients coming back. Every convolution and linear layer is drawn anew; batch is not looked at.
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, std=math.sqrt(2.0 / (fan_in if mode == "fan_in" else fan_out)))


@INITS.register
def xavier_normal(model: nn.Module, batch: Tensor) -> None:
    """Normal weights of std sqrt(2 / (fan_in + fan_out)), which keep the variance through tanh layers.

    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", section 4.2.1.
    Every convolution and linear layer is drawn anew; batch is not looked at.
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, std=math.sqrt(2.0 / (fan_in + fan_out)))


def _draw(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
