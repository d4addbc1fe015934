"""The layers that an initialisation may touch, and how many values go in and out of each of their units."""

from torch import Tensor, nn


def weighted_layers(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """Every convolution and linear layer, in order of definition. Norms keep what the model gave them."""
    return [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def fans(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs make one output, and how many outputs one input goes into, stride apart."""
    weight: Tensor = layer.weight  # (out, in / groups, height, width), or (out, in)
    field = weight[0, 0].numel()
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return weight.shape[1] * field, weight.shape[0] // groups * field


def zero_bias(layer: nn.Conv2d | nn.Linear) -> None:
    """The layer's bias, where it has one, set to zero."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
