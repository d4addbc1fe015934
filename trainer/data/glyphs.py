"""Drawn characters: a data set that needs no file and no network, and a load generator of any size."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import cos, pi, radians, sin
from random import Random
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.keep import Keep
from trainer.data.source import Source
from trainer.errors import DataError
from trainer.registry import DATA
from trainer.rng import hash_words
from trainer.schema import (
    BelowOne,
    Cache,
    Count,
    Denoise,
    Folds,
    Level,
    Normalise,
    Positive,
    Rule,
    UpToOne,
    Validation,
    Whole,
    are_sides,
)
from trainer.size import Size, size_of

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CONTRAST = 70.0
Colour = tuple[int, int, int]


@DATA.register
def glyphs(
    *,
    classes: Annotated[
        int, Rule("a whole number from 2 to 36: digits, then letters", lambda value: 2 <= value <= 36)
    ] = 10,
    images: Count = 8000,
    size: Annotated[
        int | list[int],
        Rule(
            "a whole number from 12 up, or [height,width], each from 12 up, such as [24,40]",
            lambda value: are_sides(value, 12),
        ),
    ] = 32,
    grey: bool = False,
    seed: Whole = 0,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    wrong_labels: BelowOne = 0.0,
    labels: Literal["one", "several"] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
) -> Source:
    """Coloured digits and letters, drawn at random pose on cluttered backgrounds; never downloads anything.

    Each image is a function of (seed, part, index), drawn when it is asked for. The test part is a fifth as large as
    the training part. labels: 'several' draws two or three characters, of as many classes, in a picture. Raises
    DataError if there are fewer than two images a class.
    """
    if images < 2 * classes:
        raise DataError(f"data.images={images}: {classes} classes need at least {2 * classes} images.")
    drawn, seen = _DrawnTogether if labels == "several" else _Drawn, size_of(size)
    train = drawn(classes, images, seen, grey, seed, "train")
    test = drawn(classes, max(1, images // 5), seen, grey, seed, "test")
    parts = {"train": train, "test": test}
    wishes, keep = (
        Wishes(val, folds, fold, normalise, mean, std, denoise, wrong_labels),
        Keep(cache, cache_dir, cache_limit),
    )
    return assemble(CHARACTERS[:classes], parts, wishes, size=seen, keep=keep)


@dataclass(frozen=True)
class _Drawn:
    """The images of one part. The classes take turns, so each is as frequent as the next."""

    classes: int
    count: int
    size: Size
    grey: bool
    seed: int
    part: str
    groups = None

    @property
    def labels(self) -> Tensor:
        return torch.arange(self.count) % self.classes

    @property
    def keys(self) -> Sequence[str]:
        return [f"{index:06d}" for index in range(self.count)]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1 if self.grey else 3), *self.size

    def image(self, index: int) -> Tensor:
        picture = self.picture(index, Random(self._words[index]))
        if self.grey:
            return torch.from_numpy(np.array(picture.convert("L")))[None]
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()

    def picture(self, index: int, rng: Random) -> Image.Image:
        """In RGB."""
        return draw(CHARACTERS[index % self.classes], self.size, rng)

    def digest(self) -> bytes:
        drawn = self.image(0).numpy().tobytes()  # another release of Pillow may draw otherwise
        return hashlib.sha256(f"{self}".encode() + drawn).digest()

    def version(self) -> bytes:
        return self.digest()

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _words(self) -> list[int]:
        """The seed of each image."""
        words: list[int] = hash_words(torch.arange(self.count), self.seed, "glyphs", self.part).tolist()
        return [word % 2**64 for word in words]  # Random takes a number and its negative for the same


@dataclass(frozen=True)
class _DrawnTogether(_Drawn):
    """The images of one part, each with two or three characters, of which none is there twice."""

    @cached_property
    def labels(self) -> Tensor:
        shown = torch.zeros(self.count, self.classes, dtype=torch.int8)
        for index, word in enumerate(self._words):
            shown[index, self._chosen(Random(word))] = 1
        return shown

    def picture(self, index: int, rng: Random) -> Image.Image:
        return draw_together([CHARACTERS[label] for label in self._chosen(rng)], self.size, rng)

    def _chosen(self, rng: Random) -> list[int]:
        return rng.sample(range(self.classes), min(rng.choice((2, 3)), self.classes))


def draw_together(characters: Sequence[str], size: Size, rng: Random) -> Image.Image:
    """One picture of that size in RGB, of several small characters around its middle, and clutter."""
    ground = _colour(rng)
    picture = _background(ground, size, rng)
    _lines_and_dots(picture, rng.randrange(4), rng)
    first = rng.uniform(0, 2 * pi)
    for place, character in enumerate(characters):
        angle, radius = first + 2 * pi * place / len(characters), rng.uniform(0.24, 0.3)
        shift = (radius * size.width * cos(angle), radius * size.height * sin(angle))
        mask = _pose(_stencil(character, size), rng, scale=rng.uniform(0.42, 0.55), shift=shift)
        picture.paste(_contrasting(ground, rng), mask=mask)
    return picture


def draw(character: str, size: Size, rng: Random) -> Image.Image:
    """One picture of that size in RGB: background, clutter, the character, and a little clutter over it."""
    ground = _colour(rng)
    picture = _background(ground, size, rng)
    for _ in range(rng.randrange(3)):
        _neighbour(picture, rng)
    _lines_and_dots(picture, rng.randrange(5), rng)
    shift = (size.width * rng.uniform(-0.12, 0.12), size.height * rng.uniform(-0.12, 0.12))
    mask = _pose(_stencil(character, size), rng, scale=rng.uniform(0.65, 1.05), shift=shift)
    picture.paste(_contrasting(ground, rng), mask=mask)
    _lines_and_dots(picture, rng.randrange(3), rng)
    return picture


def _colour(rng: Random) -> Colour:
    red, green, blue = rng.randbytes(3)
    return red, green, blue


def _contrasting(ground: Colour, rng: Random) -> Colour:
    """A random colour whose luma differs visibly from the ground's, so that a grey picture can be read too."""
    while True:
        colour = _colour(rng)
        if abs(_luma(colour) - _luma(ground)) > _CONTRAST:
            return colour


def _luma(colour: Colour) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _background(colour: Colour, size: Size, rng: Random) -> Image.Image:
    """A gradient through the colour in any direction, with noise."""
    angle, strength = rng.uniform(0, 2 * pi), rng.uniform(0, 0.16)
    rise = np.array([rng.uniform(-70, 70) for _ in range(3)], dtype=np.float32)
    down, across = map(_ruler, size)
    ramp = cos(angle) * down[:, None] + sin(angle) * across  # (H, W), about -0.7 to 0.7
    noise = np.frombuffer(rng.randbytes(3 * size.height * size.width), np.uint8) * np.float32(strength)
    pixels = ramp[..., None] * rise + noise.reshape(*size, 3) + (np.array(colour, dtype=np.float32) - 128 * strength)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@lru_cache(maxsize=2)
def _ruler(size: int) -> NDArray[np.float32]:
    return np.linspace(-0.5, 0.5, size, dtype=np.float32)


@lru_cache(maxsize=2 * len(CHARACTERS))
def _stencil(character: str, size: Size) -> Image.Image:
    """The character upright in the middle of a mask of that size, as large as its shorter side."""
    font = ImageFont.load_default(min(size))
    left, top, right, bottom = font.getbbox(character)
    mask = Image.new("L", (size.width, size.height))
    corner = ((size.width - right - left) / 2, (size.height - bottom - top) / 2)
    ImageDraw.Draw(mask).text(corner, character, fill=255, font=font)
    return mask


def _pose(mask: Image.Image, rng: Random, *, scale: float, shift: tuple[float, float]) -> Image.Image:
    """The mask scaled (a little more in one direction), slanted, turned by up to 20 degrees, and shifted in pixels."""
    turn, slant, stretch = radians(rng.uniform(-20, 20)), rng.uniform(-0.2, 0.2), rng.uniform(0.85, 1.18)
    d, e = -sin(turn) / scale, cos(turn) / scale  # Pillow wants the map from output to input
    a, b = e / stretch + slant * d, -d / stretch + slant * e
    column, row = mask.width / 2, mask.height / 2
    x, y = column + shift[0], row + shift[1]
    to_input = (a, b, column - a * x - b * y, d, e, row - d * x - e * y)
    return mask.transform(mask.size, Image.Transform.AFFINE, to_input, Image.Resampling.BILINEAR)


def _neighbour(picture: Image.Image, rng: Random) -> None:
    """A small character of any class, cut off by the picture's edge."""
    size, angle = Size(picture.height, picture.width), rng.uniform(0, 2 * pi)
    shift = (0.55 * size.width * cos(angle), 0.55 * size.height * sin(angle))
    mask = _pose(_stencil(rng.choice(CHARACTERS), size), rng, scale=0.6, shift=shift)
    picture.paste(_colour(rng), mask=mask)


def _lines_and_dots(picture: Image.Image, count: int, rng: Random) -> None:
    pen, (width, height), size = ImageDraw.Draw(picture), picture.size, min(picture.size)
    for _ in range(count):
        colour, x, y = _colour(rng), rng.uniform(0, width), rng.uniform(0, height)
        if rng.random() < 0.5:
            pen.line((x, y, rng.uniform(0, width), rng.uniform(0, height)), fill=colour, width=max(1, size // 32))
        else:
            radius = size * rng.uniform(0.02, 0.06)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
