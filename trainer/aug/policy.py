"""What every aug part returns: maps for the one warp, and maps for the one colour matrix."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from trainer.rng import Draws

GeometryMap = Callable[[Draws, float], Tensor]
ColourMap = Callable[[Draws], Tensor]


@dataclass(frozen=True)
class Policy:
    """The augmentation of a batch. Empty tuples leave the batch as it is.

    geometry: each takes the draws and the images' aspect (width over height), and gives (B, 3, 3): a map of OUTPUT to
    INPUT coordinates, both in [-1, 1] with (0, 0) the centre. The first named is the first applied to the image.
    colour: each gives (B, 3, 4), a map of RGB in [0, 1] to RGB, in the same order. Grey g is taken as (g, g, g), and
    the first row gives the new grey.
    """

    geometry: tuple[GeometryMap, ...] = ()
    colour: tuple[ColourMap, ...] = ()
