"""Every picture of a set, looked at once: small, with its size and mode, or why it cannot be read."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from trainer import rng
from trainer.data.decode import Frame, decode, header
from trainer.data.listing import Listed, files_of
from trainer.data.source import ArraySamples, Samples, Source, classes_of_each
from trainer.errors import DataError
from trainer.feed.pack import Pixels, Progress
from trainer.feed.store import whole_of
from trainer.size import Size, square

SIDE = 32
"""Pixels on a side of a small picture: enough to tell what it shows, few enough to compare all with all."""
PARTS = ("training", "validation", "test")
_FRAME = Frame(square(SIDE), fit="squish")
_MOST_AT_HAND = 100_000
_MOST_FILES = 20_000
_MOST_BYTES = 2**30
_MOST_DRAWN = 4_000
"""Pictures that are looked at: of arrays, in files (and bytes of these), and where each is worked out anew. Each comes
to 20 s at most on two cores."""
_CHUNK = 256

Look = tuple[str, Size, Pixels]
"""Mode, size, and the small picture, (32, 32, 3)."""


@dataclass(frozen=True)
class Seen:
    """The pictures that were looked at and could be read, of all parts in one row."""

    names: Sequence[str]
    """As a person is told of them."""
    parts: NDArray[np.int64]
    """(N,) of PARTS."""
    places: NDArray[np.int64]
    """(N,) in their part."""
    classes: Sequence[tuple[int, ...] | None]
    """Of each: None where nothing is known of it."""
    small: Pixels
    """(N, 32, 32, 3): the whole picture, squashed."""
    sizes: Sequence[Size]
    modes: Sequence[str]
    """By Pillow's names."""
    unreadable: tuple[str, ...]
    """The reason of each that could not be read, with its path."""
    total: int
    """Pictures that there are."""

    @property
    def looked_at(self) -> int:
        return len(self.names) + len(self.unreadable)

    @property
    def sampled(self) -> str:
        """Words for the evidence, where not all were looked at."""
        return "" if self.looked_at == self.total else f" (of {self.looked_at:,} of {self.total:,} pictures looked at)"


def parts_of(source: Source) -> dict[int, Samples]:
    """The parts by their numbers, without those that are another one again: data.val=none validates on training."""
    parts: dict[int, Samples] = {}
    taken: set[tuple[int, int]] = set()
    for number, samples in enumerate((source.train, source.val, source.test)):
        if samples is None:
            continue
        whole, rows = whole_of(samples)
        own = {(id(whole), row) for row in rows.tolist()}
        if not own & taken:
            parts[number] = samples
            taken |= own
    return parts


def names_of(parts: dict[int, Samples]) -> dict[int, list[str]]:
    """What a person is told each picture is called: its path where it has one."""
    files = {number: files_of(samples) for number, samples in parts.items()}
    several = len({listed[0].root for listed in files.values() if listed}) > 1
    return {
        number: [f"{each.root.name}/{each.name}" if several else each.name for each in files[number]]
        or [f"{PARTS[number]} {key}" for key in samples.keys]
        for number, samples in parts.items()
    }


def look(source: Source, progress: Progress) -> Seen:
    """All pictures, or where they are many the same share of each part, the same ones every time."""
    parts = parts_of(source)
    files = {number: files_of(samples) for number, samples in parts.items()}
    chosen = _chosen(parts, files)
    known = names_of(parts)
    total, done = sum(map(len, chosen.values())), 0
    names, part, places, classes, unreadable = (
        list[str](),
        list[int](),
        list[int](),
        list[tuple[int, ...] | None](),
        list[str](),
    )
    looks: list[Look] = []
    for number, samples in parts.items():
        labels = classes_of_each(samples.labels)
        for place, found in zip(chosen[number], _looks(samples, files[number], chosen[number]), strict=True):
            done += 1
            if done % _CHUNK == 0 or done == total:
                progress("Looking at pictures", done, total)
            if isinstance(found, str):
                unreadable.append(found)
                continue
            looks.append(found)
            names.append(known[number][place])
            part.append(number)
            places.append(place)
            classes.append(labels[place])
    return Seen(
        names,
        np.array(part, np.int64),
        np.array(places, np.int64),
        classes,
        np.stack([small for _, _, small in looks]) if looks else np.empty((0, SIDE, SIDE, 3), np.uint8),
        [size for _, size, _ in looks],
        [mode for mode, _, _ in looks],
        tuple(unreadable),
        sum(map(len, parts.values())),
    )


def _chosen(parts: dict[int, Samples], files: dict[int, list[Listed]]) -> dict[int, list[int]]:
    """The places of those to be looked at in each part."""
    total = sum(map(len, parts.values()))
    num_bytes = sum(each.num_bytes for listed in files.values() for each in listed)
    if all(isinstance(whole_of(samples)[0], ArraySamples) for samples in parts.values()):
        most = _MOST_AT_HAND
    else:
        most = _MOST_FILES if num_bytes else _MOST_DRAWN
    share = min(1.0, most / max(1, total), _MOST_BYTES / max(1, num_bytes))
    return {
        number: rng.permutation(len(samples), "check", PARTS[number])[: max(1, int(len(samples) * share))]
        .sort()
        .values.tolist()
        for number, samples in parts.items()
    }


def _looks(samples: Samples, listed: list[Listed], places: list[int]) -> Iterator[Look | str]:
    """Of each picture what is seen, or why nothing is."""
    whole, rows = whole_of(samples)
    if isinstance(whole, ArraySamples):
        yield from _of_array(whole.pixels, rows[places])
        return
    with ThreadPoolExecutor(os.cpu_count() if listed else 1) as pool:  # Pillow releases the GIL while it decodes
        yield from pool.map(partial(_look, samples, listed), places)


def _look(samples: Samples, listed: list[Listed], place: int) -> Look | str:
    try:
        if listed:
            mode, size = header(listed[place].picture)
            return mode, size, decode(listed[place].picture, _FRAME).permute(1, 2, 0).numpy()
        ((mode, size, small),) = _of_array(samples.image(place)[None], torch.tensor([0]))
    except DataError as error:
        return str(error)
    return mode, size, small


def _of_array(pixels: Tensor, rows: Tensor) -> Iterator[Look]:
    """pixels: uint8 (N, C, H, W)."""
    _, channels, height, width = pixels.shape
    for chunk in torch.split(rows, _CHUNK):
        images = pixels[chunk]
        if (height, width) != _FRAME.size:
            images = interpolate(images, _FRAME.size, mode="bilinear", antialias=True)
        for small in images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy():
            yield "L" if channels == 1 else "RGB", Size(height, width), small
