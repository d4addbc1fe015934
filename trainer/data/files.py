"""Image files, however they were found: their samples, their common size, and those that cannot be read."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.decode import SUFFIXES, Frame, decode, short_side
from trainer.data.keep import Keep
from trainer.data.source import Samples, Source
from trainer.data.unreadable import unreadable_in_words
from trainer.errors import DataError
from trainer.schema import Fit, Resize

_SIZES_MEASURED = 200
_LARGEST_OWN_SIZE = 128
_SPARE = 1.25
"""How much larger than the model's input the prepared images may be: room for crops and turns, without aliasing."""
_FIT_IN_WORDS = {
    "crop": "short side, then the central square",
    "squish": "each side by itself",
    "pad": "long side, then black beside it",
}


class File(NamedTuple):
    """One image file: its class (None: ignored in the loss), its path below the root, bytes, and time of change."""

    label: str | None
    key: str
    num_bytes: int
    changed: int


@dataclass
class Files:
    """The image files of one part of a set, sorted, and the classes that it must have images of."""

    root: Path
    classes: tuple[str, ...]
    images: list[File] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        return [self.root / image.key for image in self.images]


@dataclass(frozen=True)
class Look:
    """What is asked of the images of a set of files."""

    size: int | None = None
    prepare: int | None = None
    grey: bool = False
    resize: Resize = "bilinear"
    fit: Fit = "crop"
    on_error: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True)
class FileSamples:
    """Images in files below root, decoded when they are asked for; keys are their paths below it."""

    root: Path
    keys: Sequence[str]
    labels: Tensor
    num_bytes: Sequence[int]
    changed: Sequence[int]
    side: int
    frame: Frame

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1 if self.frame.grey else 3), self.side, self.side

    def image(self, index: int) -> Tensor:
        return decode(self.root / self.keys[index], self.frame)

    def digest(self) -> bytes:
        return hashlib.sha256(repr(list(self.num_bytes)).encode()).digest()

    def version(self) -> bytes:
        place = str(self.root.absolute()).encode(errors="surrogateescape")
        return hashlib.sha256(place + repr((self.frame, list(self.num_bytes), list(self.changed))).encode()).digest()

    def __len__(self) -> int:
        return len(self.keys)


def file_source(
    classes: tuple[str, ...],
    parts: Mapping[str, Files],
    look: Look,
    wishes: Wishes,
    keep: Keep,
    notes: Sequence[str] = (),
) -> Source:
    """The set that the files make. parts: as assemble takes them. Raises DataError if a class is left without images.

    size None: the median short side of the training images, at most 128 (and at most prepare). With on_error='skip'
    every file is tried first, which takes as long as one epoch's reading; bad ones are left out and named in the notes.
    """
    said, left_out = list(notes), list[str]()
    if look.on_error == "skip":
        for files in parts.values():
            failures = _drop_unreadable(files)
            left_out += failures
            if failures:
                total = len(files.images) + len(failures)
                words = unreadable_in_words(failures, total)
                said.append(f"Left out (data.on_error=skip; all are in left_out.txt): {words}")
    for files in parts.values():
        _check_filled(files)
    median = _median_short_side(parts["train"].paths)
    seen, side = sizes(median, look.size, look.prepare)
    said.append(size_note(median, seen, side, look.fit))
    frame = Frame(side, look.grey, look.resize, look.fit)
    samples: dict[str, Samples] = {part: _samples(files, classes, side, frame) for part, files in parts.items()}
    source = assemble(classes, samples, wishes, size=seen, keep=keep, frame=frame, notes=said)
    return replace(source, left_out=tuple(left_out))


def sizes(median: int, size: int | None, prepare: int | None) -> tuple[int, int]:
    """(what the model sees, what images are prepared at), from the images' median short side and what is asked for.

    prepare None: a quarter larger than what the model sees, as far as the images have as many pixels.
    """
    seen = size or min(median, _LARGEST_OWN_SIZE, prepare or _LARGEST_OWN_SIZE)
    return seen, prepare or min(max(median, seen), round(_SPARE * seen))


def size_note(median: int, seen: int, side: int, fit: Fit) -> str:
    """The line that says how images are resized."""
    return (
        f"Images are resized to {side} x {side} ({_FIT_IN_WORDS[fit]}); the model sees {seen} x {seen}. "
        f"The training images' median short side is {median}."
    )


def names(words: Iterable[str]) -> str:
    """The first ten, and how many more there are."""
    listed = list(words)
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def readable(name: str) -> str:
    """The name, with what is not UTF-8 in it as \\xNN: then it is another one."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _samples(files: Files, classes: tuple[str, ...], side: int, frame: Frame) -> FileSamples:
    index_of: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    labels = torch.tensor([index_of.get(image.label, -1) for image in files.images])
    keys = [image.key for image in files.images]
    num_bytes, changed = [image.num_bytes for image in files.images], [image.changed for image in files.images]
    return FileSamples(files.root, keys, labels, num_bytes, changed, side, frame)


def _check_filled(files: Files) -> None:
    filled = {image.label for image in files.images}
    if missing := [name for name in files.classes if name not in filled]:
        raise DataError(
            f"{files.root} has no images of {names(missing)}. Add some (of {' '.join(SUFFIXES)}), "
            "or remove the class from every part."
        )


def _drop_unreadable(files: Files) -> list[str]:
    """Removes the images that cannot be decoded. Gives the reason of each, with its path."""

    def failure(path: Path) -> str | None:
        try:
            decode(path)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = list(pool.map(failure, files.paths))
    files.images = [image for image, failed in zip(files.images, failures, strict=True) if failed is None]
    return [failed for failed in failures if failed is not None]


def _median_short_side(paths: Sequence[Path]) -> int:
    """Of a fixed sample, read from the headers. A file without a header to read is left for the decoding to report."""
    sides: list[int] = []
    failures: list[DataError] = []
    for path in paths[:: -(-len(paths) // _SIZES_MEASURED)]:
        try:
            sides.append(short_side(path))
        except DataError as error:
            failures.append(error)
    if not sides:
        raise failures[0]
    return median_low(sides)
