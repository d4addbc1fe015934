"""What a pixel becomes: maps of RGB in [0, 1] to RGB, for the one colour matrix.

Values are not clamped between the maps nor after them: what a camera would blow out keeps its texture, and the batch
is passed over once less. A chain of operations on bytes, as torchvision has it, cuts off after each. The order is the
one in which the maps are named, the same for every sample.
"""

import math

import torch
from torch import Tensor

from trainer.aug.policy import ColourMap
from trainer.rng import Draws

_MIDDLE = 0.5
_LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
"""How bright red, green and blue look (ITU-R BT.601)."""


def scaling(factor: Tensor, fixed: float) -> Tensor:
    """(B, 3, 4): every channel is multiplied by factor (B,), the value `fixed` staying where it is."""
    diagonal = torch.eye(3, dtype=factor.dtype) * factor[:, None, None]
    offset = (fixed * (1 - factor))[:, None, None].expand(-1, 3, 1)
    return torch.cat([diagonal, offset], dim=2)


def brightness(strength: float) -> ColourMap:
    """Multiply by 1 - strength to 1 + strength: black stays black."""

    def draw(draws: Draws) -> Tensor:
        return scaling(_factor(draws, "aug.brightness", strength), 0.0)

    return draw


def contrast(strength: float) -> ColourMap:
    """Stretch about middle grey by 1 - strength to 1 + strength.

    About middle grey, not about the image's own mean as torchvision has it: the mean would cost a pass over the pixels
    and, on a GPU, a wait for the device, and what it adds is a change of brightness that is drawn anyway.
    """

    def draw(draws: Draws) -> Tensor:
        return scaling(_factor(draws, "aug.contrast", strength), _MIDDLE)

    return draw


def towards_grey(factor: Tensor) -> Tensor:
    """(B, 3, 4): colours at factor (B,) times their distance from the grey of the same brightness."""
    grey = _LUMA.to(factor.dtype).expand(3, 3)
    colour = factor[:, None, None] * torch.eye(3, dtype=factor.dtype) + (1 - factor)[:, None, None] * grey
    return torch.cat([colour, torch.zeros_like(colour[:, :, :1])], dim=2)


def turning(degrees: Tensor) -> Tensor:
    """(B, 3, 4): colours turned about the axis of greys, red to green at 120 degrees, green to blue, blue to red.

    The turn is rigid: it keeps the mean of the three channels and the distance from grey. Hue as HSV defines it goes
    round a hexagon, which no matrix can; the two agree at every 120 degrees.
    """
    angle = torch.deg2rad(degrees)
    thirds = torch.tensor([0.0, 1.0, 2.0], dtype=angle.dtype) * (2 * math.pi / 3)
    same, from_previous, from_next = ((1 + 2 * torch.cos(angle[:, None] - thirds)) / 3).unbind(dim=1)
    rows = [same, from_next, from_previous, from_previous, same, from_next, from_next, from_previous, same]
    colour = torch.stack(rows, dim=1).view(-1, 3, 3)
    return torch.cat([colour, torch.zeros_like(colour[:, :, :1])], dim=2)


def saturation(strength: float) -> ColourMap:
    """Take colours nearer to grey, or farther, by 1 - strength to 1 + strength. Grey images stay as they are."""

    def draw(draws: Draws) -> Tensor:
        return towards_grey(_factor(draws, "aug.saturation", strength))

    return draw


def hue(degrees: float) -> ColourMap:
    """Turn colours round the colour circle by -degrees to degrees. Grey images stay as they are."""

    def draw(draws: Draws) -> Tensor:
        return turning(degrees * (2 * draws.uniform("aug.hue").double() - 1))

    return draw


def greyscale(probability: float) -> ColourMap:
    """Take all colour away with this probability."""

    def draw(draws: Draws) -> Tensor:
        return towards_grey((~draws.chance("aug.greyscale", probability)).double())

    return draw


def _factor(draws: Draws, purpose: str, strength: float) -> Tensor:
    return 1 + strength * (2 * draws.uniform(purpose).double() - 1)
