"""Normal weights, of a std that is given or follows from the size of the layer; biases start at zero."""

import math
from typing import Literal

from torch import Tensor, nn

from trainer.init.layers import fans, weighted_layers, zero_bias
from trainer.registry import INITS
from trainer.schema import Positive


@INITS.register
def normal(model: nn.Module, batch: Tensor, *, std: Positive = 0.01) -> None:
    """Normal weights of one std for every layer: 0.01 fades with depth, 0.1 saturates tanh.

    Every convolution and linear layer is drawn anew; batch is not looked at. So it is below.
    """
    for layer in weighted_layers(model):
        _draw(layer, std)


@INITS.register
def he_normal(model: nn.Module, batch: Tensor, *, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Normal weights of std sqrt(2 / fan), which keep the variance through ReLU layers.

    He et al. 2015, "Delving Deep into Rectifiers", section 2.2. mode: fan_in keeps the variance of what goes forward,
    fan_out that of the gradients coming back.
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, math.sqrt(2.0 / (fan_in if mode == "fan_in" else fan_out)))


@INITS.register
def xavier_normal(model: nn.Module, batch: Tensor, *, mode: Literal["average", "fan_in"] = "average") -> None:
    """Normal weights of std sqrt(2 / (fan_in + fan_out)), which keep the variance through tanh layers.

    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", section 4.2.1.
    mode: average is theirs, a compromise between forward and backward; fan_in gives std 1 / sqrt(fan_in), as some
    texts have it (LeCun et al. 1998, "Efficient BackProp", section 4.6).
    """
    for layer in weighted_layers(model):
        fan_in, fan_out = fans(layer)
        _draw(layer, math.sqrt(2.0 / (fan_in + fan_out) if mode == "average" else 1.0 / fan_in))


def _draw(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    zero_bias(layer)
