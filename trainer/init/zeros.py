"""The initialisation that cannot work."""

from torch import Tensor, nn

from trainer.init.layers import weighted_layers, zero_bias
from trainer.registry import INITS


@INITS.register
def zeros(model: nn.Module, batch: Tensor) -> None:
    """All weights zero: every unit of a layer is the same and stays so; only the last bias ever learns. For showing it.

    With all units equal, their gradients are equal (here: zero, but for the last layer's bias), and no step can ever
    tell them apart. Every convolution and linear layer is set; batch is not looked at.
    """
    for layer in weighted_layers(model):
        nn.init.zeros_(layer.weight)
        zero_bias(layer)
