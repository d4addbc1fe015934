"""What every aug part returns: a list of maps for the one warp, and one for the one colour matrix."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from trainer.rng import Draws

Map = Callable[[Draws], Tensor]


@dataclass(frozen=True)
class Policy:
    """The augmentation of a batch. Empty tuples leave the batch as it is.

    geometry: each gives (B, 3, 3), a map of OUTPUT to INPUT coordinates, both in [-1, 1] with (0, 0) the centre;
    they are multiplied in order, so the first named is the first applied to the image.
    colour: each gives (B, 3, 4), a map of RGB in [0, 1] to RGB; grey images use the first row's response to grey.
    """

    geometry: tuple[Map, ...] = ()
    colour: tuple[Map, ...] = ()
