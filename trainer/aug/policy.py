"""What every aug part returns: what happens to an image, to a batch after its one warp, and to pairs of samples."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.rng import Draws
from trainer.schema import Padding
from trainer.size import Size


@dataclass(frozen=True)
class Levels:
    """What black and white are in a normalised batch: (C, 1, 1) each, on the batch's device."""

    black: Tensor
    white: Tensor

    def at(self, shares: Tensor) -> Tensor:
        """The values that lie so far, 0 to 1, on the way from black to white."""
        return self.black + shares * (self.white - self.black)


ItemStage = Callable[[Tensor], Tensor]
GeometryMap = Callable[[Draws, float], Tensor]
ColourMap = Callable[[Draws], Tensor]
PixelStage = Callable[[Tensor, Draws, Levels], Tensor]
KeepMap = Callable[[Draws, Size, torch.device], Tensor]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The augmentation of a batch, in the order in which it acts. What is empty leaves the batch as it is.

    item: takes one uint8 image (C, H, W) and gives another of that shape. It may draw from torch's global generator,
    which is seeded for this image before the call.
    geometry: each takes the draws and the images' aspect (width over height), and gives (B, 3, 3): a map of OUTPUT to
    INPUT coordinates, both in [-1, 1] with (0, 0) the centre. The first named is the first applied to the image.
    padding: what geometry finds beyond an image's edges: its reflection, the border's pixels, or zeros (black).
    colour: each gives (B, 3, 4), a map of RGB in [0, 1] to RGB, in the same order. Grey g is taken as (g, g, g), and
    the first row gives the new grey.
    after: each takes normalised pixels (B, C, H, W), their draws and levels, and gives such pixels, perhaps in place.
    mix: each takes the draws, the size and the device, and gives (B, 1, H, W) or (B, 1, 1, 1): how much of each of its
    pixels a sample keeps, from 0 to 1; the rest comes from its partner. Where there are several, a sample uses one.
    words: all of this for a reader, a word or two each; what may change an image's meaning stands first.
    """

    item: ItemStage | None = None
    geometry: tuple[GeometryMap, ...] = ()
    padding: Padding = "reflection"
    colour: tuple[ColourMap, ...] = ()
    after: tuple[PixelStage, ...] = ()
    mix: tuple[KeepMap, ...] = ()
    words: tuple[str, ...] = ()
