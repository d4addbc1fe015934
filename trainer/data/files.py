"""Image files, however they were found: their samples, their common size, and those that cannot be read."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.decode import Frame, decode, short_side
from trainer.data.formats import Packed
from trainer.data.keep import Keep
from trainer.data.marks import Marks, sample
from trainer.data.several import Several, tensor_of
from trainer.data.source import Samples, Source
from trainer.data.unreadable import unreadable_in_words
from trainer.errors import DataError, told, visible
from trainer.schema import Fit, Resize
from trainer.size import PlainSize, Size, kept_at, size_of, square

Label = str | Several | None
"""Of one picture: its class, or what is known of its labels; None: ignored in the loss."""
_SIZES_MEASURED = 200
_TRIED_AT_ONCE = 1024
_LARGEST_OWN_SIZE = 128
_FIT_IN_WORDS = {
    "crop": "short side, then the central square",
    "squish": "each side by itself",
    "pad": "long side, then black beside it",
}
_FIT_OF_A_RECTANGLE = {
    "crop": "cut to these proportions about the centre",
    "squish": "each side by itself",
    "pad": "as large as fits, then black beside it",
}


class File(NamedTuple):
    """One image file: its class (None: ignored in the loss), path below the root, bytes, marks of change, and group."""

    label: Label
    key: str
    num_bytes: int
    changed: Marks
    group: str | None = None

    @property
    def shown(self) -> frozenset[str]:
        """The classes that it is known to be of."""
        if isinstance(self.label, Several):
            return self.label.shown
        return frozenset() if self.label is None else frozenset([self.label])

    @property
    def is_known(self) -> bool:
        """Whether all is known of its label or labels."""
        return self.label.unknown == frozenset() if isinstance(self.label, Several) else self.label is not None


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

    size: PlainSize | None = None
    prepare: PlainSize | None = None
    grey: bool = False
    resize: Resize = "bilinear"
    fit: Fit = "crop"
    crop_share: float | None = None
    on_error: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True)
class FileSamples:
    """Images in files below root, decoded when they are asked for; keys are their paths below it."""

    root: Path
    keys: Sequence[str]
    labels: Tensor
    num_bytes: Sequence[int]
    changed: Sequence[Marks]
    frame: Frame
    groups: Sequence[str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frame.shape

    def image(self, index: int) -> Tensor:
        return decode(self.root / self.keys[index], self.frame)

    def digest(self) -> bytes:
        return hashlib.sha256(repr(list(self.num_bytes)).encode()).digest()

    def version(self) -> bytes:
        place = str(self.root.absolute()).encode(errors="surrogateescape")
        material = repr((self.frame, list(self.num_bytes), list(self.changed))).encode()
        return hashlib.sha256(place + material + sample([self.root / key for key in self.keys])).digest()

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
    with told(said, DataError):
        for files in parts.values():
            unreadable = _drop_unreadable(files, look.grey) if look.on_error == "skip" else {}
            if unreadable:
                words = unreadable_in_words(list(unreadable.values()), len(files.images) + len(unreadable))
                said.append(f"Left out (data.on_error=skip): {words}")
            left_out += unreadable.values()
            if files is parts["train"]:
                _check_filled(files, classes, unreadable)
        said += [note for part, files in parts.items() if part != "train" for note in _lacking(part, files, classes)]
        paths = parts["train"].paths
        median = median_short_side(len(paths), paths.__getitem__)
        seen, kept = sizes(median, look.size, look.prepare)
        frame = Frame(kept, look.grey, look.resize, look.fit, look.crop_share or 1.0)
        samples: dict[str, Samples] = {part: _samples(files, classes, frame) for part, files in parts.items()}
        source = assemble(
            classes, samples, wishes, size=seen, keep=keep, frame=frame, notes=[size_note(median, seen, frame)]
        )
    listed = ["All that could not be read are in left_out.txt."] if left_out else []
    return replace(source, notes=(*said, *listed, *source.notes), losses=tuple(said), left_out=tuple(left_out))


def sizes(median: int, size: PlainSize | None, prepare: PlainSize | None) -> tuple[Size, Size]:
    """(what the model sees, what images are prepared at), from the images' median short side and what is asked for.

    prepare None: what the model sees, so that an image to be evaluated is resized once, as it is decoded.
    """
    largest = _LARGEST_OWN_SIZE if prepare is None else min(_LARGEST_OWN_SIZE, *size_of(prepare))
    seen = square(min(median, largest)) if size is None else size_of(size)
    return seen, seen if prepare is None else kept_at(seen, prepare)


def size_note(median: int, seen: Size, frame: Frame) -> str:
    """The line that says how images are resized."""
    share = f", of that the central {frame.crop_share:g} of each side" if frame.crop_share != 1 else ""
    how = _FIT_IN_WORDS[frame.fit] if seen.is_square else _FIT_OF_A_RECTANGLE[frame.fit]
    return (
        f"Images are resized to {frame.size}{'' if seen.is_square else ' pixels, height x width'} ({how}{share}); the "
        f"model sees {seen}. The training images' median short side is {median}."
    )


def names(words: Iterable[str]) -> str:
    """The first ten, and how many more there are."""
    listed = [visible(word) for word in words]
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def readable(name: str) -> str:
    """The name, with what is not UTF-8 in it as \\xNN: then it is another one."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _samples(files: Files, classes: tuple[str, ...], frame: Frame) -> FileSamples:
    labels = label_tensor([image.label for image in files.images], classes)
    keys = [image.key for image in files.images]
    num_bytes, changed = [image.num_bytes for image in files.images], [image.changed for image in files.images]
    groups = [image.group for image in files.images if image.group is not None] or None  # of all, or of none
    return FileSamples(files.root, keys, labels, num_bytes, changed, frame, groups)


def label_tensor(said: Sequence[Label], classes: Sequence[str]) -> Tensor:
    """As Samples has them."""
    if any(isinstance(label, Several) for label in said):
        return tensor_of([label if isinstance(label, Several) else None for label in said], classes)
    index_of = {name: index for index, name in enumerate(classes)}
    return torch.tensor([index_of.get(str(label), -1) if label is not None else -1 for label in said])


def _check_filled(files: Files, classes: Sequence[str], unreadable: Mapping[File, str]) -> None:
    """Raises DataError if a class has no image to learn it from."""
    filled = {name for image in files.images for name in image.shown}
    missing = [name for name in classes if name not in filled]
    if not missing:
        return
    lost = Counter(_kind(files, image, said) for image, said in unreadable.items() if image.shown & set(missing))
    if lost:
        kinds = "; ".join(f"{kind}: {count}" for kind, count in lost.most_common())
        raise DataError(
            f"{files.root} has no images of {names(missing)} that can be read: {sum(lost.values())} lie there, and "
            f"data.on_error=skip left out all of them ({kinds}). Mend them, or remove the class from every part."
        )
    raise DataError(
        f"{files.root} has no images of {names(missing)}. Add some (.jpg, .png, .webp, .tif or what else Pillow "
        "reads), or remove the class from every part."
    )


def _lacking(part: str, files: Files, classes: Sequence[str]) -> list[str]:
    """The line that says of which classes a part has no images to judge by. Raises DataError if it has none at all."""
    if not files.images:
        raise DataError(f"{files.root} has no images for the {part} part. Add some, or remove it.")
    filled = {name for image in files.images for name in image.shown}
    missing = [name for name in classes if name not in filled]
    return [f"The {part} part has no images of {names(missing)}, so it tells nothing of them."] if missing else []


def _kind(files: Files, image: File, said: str) -> str:
    """Why an image could not be read, without what is of this one alone."""
    return said.removeprefix(f"{files.root / image.key}: ").partition(" (")[0].rstrip(".")


def _drop_unreadable(files: Files, grey: bool) -> dict[File, str]:
    """Removes the images that cannot be decoded. Gives the reason of each, with its path."""

    failures = undecodable(len(files.images), files.paths.__getitem__, grey)
    images = files.images
    files.images = [image for number, image in enumerate(images) if number not in failures]
    return {images[number]: failed for number, failed in failures.items()}


def undecodable(count: int, picture: Callable[[int], Path | Packed], grey: bool) -> dict[int, str]:
    """Why a picture cannot be decoded, by its number, of each that cannot."""

    def failure(number: int) -> str | None:
        try:
            decode(picture(number), Frame(grey=grey))
        except DataError as error:
            return str(error)
        return None

    failures: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, count, _TRIED_AT_ONCE):  # a set may have many millions
            numbers = range(first, min(first + _TRIED_AT_ONCE, count))
            tried = zip(numbers, pool.map(failure, numbers), strict=True)
            failures |= {number: failed for number, failed in tried if failed is not None}
    return failures


def median_short_side(count: int, picture: Callable[[int], Path | Packed]) -> int:
    """Of a fixed sample, read from the headers. A file without a header to read is left for the decoding to report."""
    sides: list[int] = []
    failures: list[DataError] = []
    for number in range(0, count, -(-count // _SIZES_MEASURED)):
        try:
            sides.append(short_side(picture(number)))
        except DataError as error:
            failures.append(error)
    if not sides:
        looked_at = f"Of {count:,} images {len(failures)} were looked at. " if len(failures) < count else ""
        raise DataError(looked_at + unreadable_in_words([str(error) for error in failures], len(failures)))
    return median_low(sides)
