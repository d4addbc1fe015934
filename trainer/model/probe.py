"""What each layer of a network gives out on real images: the experiment that shows what an initialisation does."""

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

BINS = 61
SPAN = 3.0
"""The histogram goes from -SPAN to SPAN, with a bin around 0; what lies outside is counted in the outermost bins."""
_SATURATED = math.sqrt(0.9)
"""Where the slope of tanh, 1 - tanh^2, is a tenth of its greatest; the sigmoid is a tanh, squeezed to 0 to 1."""
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)
RECTIFIERS = (nn.ReLU, nn.ReLU6)


@dataclass(frozen=True)
class Values:
    """The output of one layer over a batch, behind the norm and the activation that follow it.

    dead: share of its units (channels) that are 0 on every image; None unless a ReLU follows.
    saturated: share of its values where the slope is below a tenth; None unless tanh or sigmoid follows.
    histogram: (BINS,) shares of the values.
    """

    name: str
    activation: str
    mean: float
    std: float
    dead: float | None
    saturated: float | None
    histogram: Tensor


def probe(model: nn.Module, images: Tensor) -> list[Values]:
    """The values of every convolution and linear layer that runs, in order, for images (B, C, H, W).

    A copy of the model runs: norms take the statistics of this batch, as in training; dropout, noise and stochastic
    depth are left out. Activations that are called as functions are not seen: the layer's bare output is shown then.
    """
    found: list[Values] = []
    copy = deepcopy(model).eval()

    def begin(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        found.append(_values(names[module], module, output))

    def go_on(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if found:
            found[-1] = _values(found[-1].name, module, output)

    names = {module: name for name, module in copy.named_modules()}
    for module in names:
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(begin)
        elif isinstance(module, (*_NORMS, *ACTIVATIONS)):
            module.register_forward_hook(go_on)
        if isinstance(module, _NORMS):
            module.train()
    with torch.no_grad():
        copy(images)
    return found


def _values(name: str, module: nn.Module, output: Tensor) -> Values:
    x = output.float()
    units = x.transpose(0, 1).flatten(1)  # (units, values of each)
    dead = float(units.eq(0).all(dim=1).float().mean()) if isinstance(module, RECTIFIERS) else None
    saturated = None
    if isinstance(module, nn.Tanh | nn.Sigmoid):
        squashed = 2 * x - 1 if isinstance(module, nn.Sigmoid) else x
        saturated = float((squashed.abs() > _SATURATED).float().mean())
    inside = x.flatten().clamp(-SPAN * (1 - 1e-6), SPAN * (1 - 1e-6)).cpu()
    counts = torch.histc(inside, BINS, -SPAN, SPAN)
    activation = type(module).__name__ if isinstance(module, ACTIVATIONS) else ""
    std, mean = torch.std_mean(x.cpu().double(), correction=0)  # mps has no doubles
    return Values(name, activation, float(mean), float(std), dead, saturated, counts / counts.sum())
