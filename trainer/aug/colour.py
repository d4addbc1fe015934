"""What a pixel becomes: maps of RGB in [0, 1] to RGB, for the one colour matrix.

Values are not clamped: what a camera would blow out keeps its texture, and the batch is passed over once less.
"""

import torch
from torch import Tensor

from trainer.aug.policy import ColourMap
from trainer.rng import Draws

_MIDDLE = 0.5


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


def _factor(draws: Draws, purpose: str, strength: float) -> Tensor:
    return 1 + strength * (2 * draws.uniform(purpose).double() - 1)
