"""Sets of small drawn pictures, in folders of classes, with a fault planted in them where one is asked for.

`python -m benchmarks.doctor.drawn NAME ...` draws sound ones into folders of their names, with 500 to validate on.
"""

import colorsys
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Planting = Literal["shuffled", "noise", "leak", "elsewhere", "missing", "few"]
"""shuffled: every label drawn anew. noise: 30 % of the labels wrong. leak: most validation pictures stand in training,
too. elsewhere: validation pictures were taken at night. missing: training has the last class once, since without it no
training begins. few: six pictures of each class to train on."""
NOISE, LEAKED, FEW = 0.3, 0.7, 6
SIDE, FINER = 20, 3
"""Pixels on a side, and how many times as many there are while it is drawn."""
TRAIN, VAL = 400, 200

Paint = Callable[[Image.Image, int, Random], None]
"""Puts a class onto a ground that is FINER times as large as the picture."""


@dataclass(frozen=True)
class Drawn:
    """A set that can be drawn: how many classes, and what each looks like."""

    classes: int
    paint: Paint


@dataclass(frozen=True)
class Wanted:
    """A folder of pictures."""

    name: str
    """Of a set in SETS."""
    seed: int
    planting: Planting | None = None
    train: int = TRAIN
    val: int = field(default=VAL, repr=False)
    """What is drawn to train on does not depend on it."""

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.seed}-{self.train}-{self.planting or 'sound'}"


def draw(wanted: Wanted, folder: Path) -> None:
    """Draws train/ and val/ into the folder, where it is not there yet."""
    if folder.is_dir():
        return
    drawn, half_done, rng = SETS[wanted.name], folder.with_name(f"{folder.name}.{os.getpid()}"), Random(f"{wanted}")
    count = FEW * drawn.classes if wanted.planting == "few" else wanted.train
    train = [(number % drawn.classes, _picture(drawn, number, rng)) for number in range(count)]
    val = [(number % drawn.classes, _picture(drawn, number, rng)) for number in range(wanted.val)]
    if wanted.planting == "leak":
        val = [train[place % count] if rng.random() < LEAKED else pair for place, pair in enumerate(val)]
    if wanted.planting == "elsewhere":
        val = [(label, _at_night(picture, rng)) for label, picture in val]
    if wanted.planting == "missing":
        last = drawn.classes - 1
        train = [pair for pair in train if pair[0] != last or pair is train[last]]
    for part, pairs in (("train", train), ("val", val)):
        for number, (label, picture) in enumerate(pairs):
            place = half_done / part / f"class{_given(label, wanted.planting, drawn.classes, rng)}"
            place.mkdir(parents=True, exist_ok=True)
            picture.save(place / f"{number:04d}.png", compress_level=1)
    with suppress(OSError):  # another process may have drawn the same meanwhile
        half_done.rename(folder)
    shutil.rmtree(half_done, ignore_errors=True)


def _picture(drawn: Drawn, number: int, rng: Random) -> Image.Image:
    """On an uneven ground, dark or light, with noise over all."""
    ramp = np.linspace(-1, 1, SIDE)[:, None]
    tilts = [[rng.uniform(-18, 18) for _ in range(3)] for _ in range(2)]
    ground = rng.choice((50, 200)) + (ramp * tilts[0])[None] + (ramp * tilts[1])[:, None]
    picture = Image.fromarray(ground.astype(np.uint8)).resize((SIDE * FINER, SIDE * FINER))
    drawn.paint(picture, number % drawn.classes, rng)
    small = np.asarray(picture.reduce(FINER), np.float32)
    noisy = small + rng.uniform(13, 64) * _noise(rng)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _at_night(picture: Image.Image, rng: Random) -> Image.Image:
    """Dark, out of focus and noisy."""
    dim = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), np.float32) * rng.uniform(0.15, 0.3)
    return Image.fromarray((dim + 50 * _noise(rng)).clip(0, 255).astype(np.uint8))


def _noise(rng: Random) -> NDArray[np.float32]:
    """(SIDE, SIDE, 3), evenly within -0.5 to 0.5."""
    drawn = np.frombuffer(rng.randbytes(3 * SIDE**2), np.uint8).reshape(SIDE, SIDE, 3)
    return drawn / np.float32(255) - np.float32(0.5)


def _given(label: int, planting: Planting | None, classes: int, rng: Random) -> int:
    if planting == "shuffled":
        return rng.randrange(classes)
    if planting == "noise" and rng.random() < NOISE:
        return (label + 1 + rng.randrange(classes - 1)) % classes
    return label


def _hue(turn: float, rng: Random) -> tuple[int, int, int]:
    """A colour of this hue, 0 to 1, darkened or paled to any luma: that tells nothing of the hue."""
    colour, wanted = np.array(colorsys.hsv_to_rgb(turn, 0.85, 1)), rng.uniform(0.25, 0.6)
    luma = float(colour @ (0.299, 0.587, 0.114))
    is_dark = wanted < luma
    red, green, blue = colour * wanted / luma if is_dark else colour + (1 - colour) * (wanted - luma) / (1 - luma)
    return round(255 * red), round(255 * green), round(255 * blue)


def _any_colour(picture: Image.Image, rng: Random) -> tuple[int, int, int]:
    """A colour that is seen on the picture's ground."""
    is_dark = picture.getpixel((0, 0))[1] < 128  # type: ignore[index]  # of an RGB picture it is a tuple
    red, green, blue = (rng.randrange(120, 256) if is_dark else rng.randrange(0, 130) for _ in range(3))
    return red, green, blue


def _place(rng: Random, least: float = 0.2, most: float = 0.32) -> tuple[float, float, float]:
    """Column and row of a middle, and a radius, in pixels."""
    side = SIDE * FINER
    radius = side * rng.uniform(least, most)
    return rng.uniform(radius, side - radius), rng.uniform(radius, side - radius), radius


def _polygon(
    picture: Image.Image, points: Sequence[tuple[float, float]], turn: float, rng: Random, most: float
) -> None:
    """A polygon, given about (0, 0) within the unit circle, anywhere, of any colour, turned by degrees."""
    column, row, radius = _place(rng, 0.25, most)
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    placed = [(column + radius * (x * cosine - y * sine), row + radius * (x * sine + y * cosine)) for x, y in points]
    ImageDraw.Draw(picture).polygon(placed, fill=_any_colour(picture, rng))


def _shapes(picture: Image.Image, label: int, rng: Random) -> None:
    """A disc, a square, a triangle, a cross or a ring."""
    column, row, radius = _place(rng)
    box, pen = (column - radius, row - radius, column + radius, row + radius), ImageDraw.Draw(picture)
    if label == 0:
        pen.ellipse(box, fill=_any_colour(picture, rng))
    elif label == 4:
        pen.ellipse(box, outline=_any_colour(picture, rng), width=2 * FINER)
    else:
        polygon = {1: _SQUARE, 2: _TRIANGLE, 3: _CROSS}[label]
        _polygon(picture, polygon, rng.uniform(-25, 25), rng, 0.35)


def _arrows(picture: Image.Image, label: int, rng: Random) -> None:
    """To the right, down, to the left or up."""
    _polygon(picture, _ARROW, 90 * label + rng.uniform(-15, 15), rng, 0.4)


def _colours(picture: Image.Image, label: int, rng: Random) -> None:
    """A disc of one of five hues."""
    column, row, radius = _place(rng, 0.2, 0.4)
    box = (column - radius, row - radius, column + radius, row + radius)
    ImageDraw.Draw(picture).ellipse(box, fill=_hue(label / 5 + rng.uniform(-0.04, 0.04), rng))


def _fruit(picture: Image.Image, label: int, rng: Random) -> None:
    """Two slanted blobs of one of four hues, which lie between those of the discs."""
    pen = ImageDraw.Draw(picture)
    for _ in range(2):
        column, row, radius = _place(rng, 0.14, 0.24)
        height = radius * rng.uniform(0.6, 1)
        hue = _hue(label / 4 + 0.1 + rng.uniform(-0.05, 0.05), rng)
        pen.ellipse((column - radius, row - height, column + radius, row + height), fill=hue)


def _flags(picture: Image.Image, label: int, rng: Random) -> None:
    """Two upright stripes: red and blue, blue and red, green and purple, or purple and green."""
    column, row, radius = _place(rng, 0.3, 0.42)
    hues = [((0.0, 0.6), (0.35, 0.82))[label // 2][(label + side) % 2] + rng.uniform(-0.04, 0.04) for side in range(2)]
    pen = ImageDraw.Draw(picture)
    for side, hue in enumerate(hues):
        left = column + (side - 1) * radius
        pen.rectangle((left, row - radius * 0.7, left + radius, row + radius * 0.7), fill=_hue(hue, rng))


def _hooks(picture: Image.Image, label: int, rng: Random) -> None:
    """A stem with a foot, which reads as L, J, or either of them upside down."""
    across, down = (1 if label % 2 else -1), (1 if label // 2 else -1)
    points = [(x * across, y * down) for x, y in _HOOK]
    _polygon(picture, points, rng.uniform(-15, 15), rng, 0.4)


def _textures(picture: Image.Image, label: int, rng: Random) -> None:
    """Stripes that lie, stand or lean, a chessboard, or dots."""
    side, step = SIDE * FINER, rng.uniform(4, 6) * FINER
    row, column = np.indices((side, side)) + np.array([rng.uniform(0, step), rng.uniform(0, step)])[:, None, None]
    waves = [np.sin(2 * np.pi * each / step) for each in (row, column, (row + column) * 0.7)]
    chess, dots = waves[0] * waves[1], np.minimum(waves[0], waves[1]) - 0.3
    mask = Image.fromarray((255 * ([*waves, chess, dots][label] > 0)).astype(np.uint8))
    picture.paste(_any_colour(picture, rng), mask=mask)


_SQUARE = [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]
_TRIANGLE = [(0, -1), (0.9, 0.7), (-0.9, 0.7)]
_CROSS = [
    *[(-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)],
    *[(0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)],
]
_ARROW = [(-1, -0.25), (0.1, -0.25), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.25), (-1, 0.25)]
_HOOK = [(-0.7, -1), (-0.2, -1), (-0.2, 0.5), (0.7, 0.5), (0.7, 1), (-0.7, 1)]
SETS = {
    "shapes": Drawn(5, _shapes),
    "colours": Drawn(5, _colours),
    "arrows": Drawn(4, _arrows),
    "textures": Drawn(5, _textures),
    "fruit": Drawn(4, _fruit),
    "flags": Drawn(4, _flags),
    "hooks": Drawn(4, _hooks),
}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        draw(Wanted(name, seed=0, val=500), Path(name))
