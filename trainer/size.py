"""How large a picture is, everywhere below the config: its height and its width. There a number is a square's side."""

import math
from collections.abc import Sequence
from typing import NamedTuple

PlainSize = int | Sequence[int]
"""As a config, run.json and checkpoints hold it: the side of a square, or [height, width]."""


class Size(NamedTuple):
    """Pixels of a picture."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"

    def __repr__(self) -> str:
        """Stores and fingerprints go by it: of squares it is what it was before there were rectangles."""
        return repr(self.plain)

    @property
    def plain(self) -> int | list[int]:
        """size_of(plain) gives the same again."""
        return self.height if self.is_square else [self.height, self.width]

    @property
    def is_square(self) -> bool:
        return self.height == self.width

    @property
    def side(self) -> int:
        """Of the square that has as many pixels."""
        return math.isqrt(self.height * self.width)

    @property
    def in_pixels(self) -> str:
        """For a person, where a square is known by its side: '128 px', '48 x 80 px'."""
        return f"{self.side if self.is_square else self} px"

    def with_short_side(self, side: int) -> "Size":
        """The size of these proportions whose shorter side is this."""
        short = min(self)
        return Size(round(self.height * side / short), round(self.width * side / short))


def square(side: int) -> Size:
    return Size(side, side)


def size_of(plain: PlainSize) -> Size:
    """Raises TypeError or ValueError for what is no size."""
    height, width = (plain, plain) if isinstance(plain, int) else plain
    return Size(int(height), int(width))


def kept_at(seen: Size, prepare: PlainSize) -> Size:
    """What pictures are kept at that a model sees at this size, where data.prepare says it: its short side, or both."""
    return seen.with_short_side(prepare) if isinstance(prepare, int) else size_of(prepare)
