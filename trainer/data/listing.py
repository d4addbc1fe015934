"""Which files a set is made of: to tell what was changed in it, and which images lie in two of its parts."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from trainer.data.denoise import Denoised
from trainer.data.extents import PackedSamples
from trainer.data.files import FileSamples
from trainer.data.formats import Packed
from trainer.data.source import Samples, Source, Subset, classes_of_each

_SHOWN = 3
_MOST_OPENED = 10_000
_MOST_READ = 2**28
"""Files that the look for images in two parts opens at every start, and bytes that it reads of whole ones, at most."""
_TAIL = 4096


class Listed(NamedTuple):
    """A file of a set: its name below the root of its part, its classes (None: ignored), and its length."""

    root: Path
    name: str
    classes: tuple[int, ...] | None
    num_bytes: int
    within: PackedSamples | None = None
    """The samples that know where it lies in a larger file."""
    number: int = 0
    """Its place among them."""

    @property
    def path(self) -> Path:
        return self.root / self.name

    @property
    def picture(self) -> Path | Packed:
        """What its bytes are read from."""
        return self.within.picture(self.number) if self.within else self.path


Sides = dict[Hashable, list[Listed]]
"""Files by the side they are on: of two parts, or of several classes."""


def files_of(samples: Samples) -> list[Listed]:
    """The files that the samples are read from, in their order; none where they are not read from files."""
    if isinstance(samples, Denoised):
        return files_of(samples.whole)
    if isinstance(samples, Subset):
        whole = files_of(samples.whole)
        return [whole[index] for index in samples.indices.tolist()] if whole else []
    if not isinstance(samples, FileSamples | PackedSamples):
        return []
    within = samples if isinstance(samples, PackedSamples) else None
    columns = zip(samples.keys, classes_of_each(samples.labels), samples.num_bytes, strict=True)
    return [Listed(samples.root, *row, within, number) for number, row in enumerate(columns)]


def listing(source: Source) -> dict[str, str]:
    """name -> 'class, bytes' of every file of the set, wherever the set lies; empty where it has no files."""
    found = [each for part in (source.train, source.val, source.test) if part is not None for each in files_of(part)]
    several = len({each.root for each in found}) > 1
    result = {}
    for each in found:
        name = f"{each.root.name}/{each.name}" if several else each.name
        classes = "ignored" if each.classes is None else " | ".join(source.classes[label] for label in each.classes)
        result[name] = f"{classes or 'no label'}, {each.num_bytes} bytes"
    return dict(sorted(result.items()))


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What happened to the files between two listings, in words: '2 added (cat/8.png, cat/9.png), 1 removed (…)'."""
    both = before.keys() & now.keys()
    altered = {name for name in both if before[name] != now[name]}
    resized = {name for name in altered if before[name].rpartition(", ")[2] != now[name].rpartition(", ")[2]}
    kinds = {
        "added": now.keys() - before.keys(),
        "removed": before.keys() - now.keys(),
        "of another size": resized,
        "of another class": altered - resized,
    }
    said = [f"{len(found)} {what} ({_some(found)})" for what, found in kinds.items() if found]
    return f"files: {', '.join(said)}" if said else "the same files, divided or prepared otherwise"


def in_two_parts(source: Source) -> list[str]:
    """A line for each two parts in which the same images lie, byte for byte.

    Only files of one length are opened, 10,000 of them at most; those with the same last 4 KiB are read whole, 256 MiB
    at most. Where there are more, those whose lengths are rarest are looked at, and 'at least' is said.
    """
    parts = {"training": source.train, "validation": source.val, "test": source.test}
    listed = {part: files_of(samples) for part, samples in parts.items() if samples is not None}
    lines = []
    for one, other in combinations(listed, 2):
        found, all_seen = same_files({0: listed[one], 1: listed[other]})
        twins = [(sides[0][0].name, twin.name) for sides in found for twin in sides[1]]
        if twins:
            lines.append(
                f"{'' if all_seen else 'at least '}{len(twins)} of the {len(listed[other]):,} {other} images are {one} "
                f"images too, byte for byte, which flatters the {other} scores: "
                f"{_some(f'{theirs} ({ours} in {one})' for ours, theirs in twins)}"
            )
    return lines


def in_two_classes(source: Source) -> list[str]:
    """A line where training images of several classes are the same, byte for byte; looked for as in two parts."""
    by_class: Sides = defaultdict(list)
    for each in files_of(source.train):
        if each.classes is not None:
            by_class[each.classes].append(each)
    found, all_seen = same_files(by_class)
    if not found:
        return []
    count = sum(len(files) for sides in found for files in sides.values())
    pairs = [" and ".join(files[0].name for files in sides.values()) for sides in found]
    return [
        f"{'' if all_seen else 'at least '}{count} training images lie in several classes, byte for byte, so that only "
        f"one of their labels can be right: {_some(pairs)}"
    ]


def same_files(sides: Sides) -> tuple[list[Sides], bool]:
    """The groups of files of the same content that are on several sides; and whether all such are seen."""
    same = _shared([sides], lambda each: each.num_bytes)
    opened = _affordable(same, _MOST_OPENED, lambda each: 1)
    alike = _shared(opened, lambda each: _hash(each.picture, _TAIL))
    read = _affordable(alike, _MOST_READ, lambda each: each.num_bytes)
    return _shared(read, lambda each: _hash(each.picture)), opened is same and read is alike


def _shared(groups: Iterable[Sides], trait: Callable[[Listed], Hashable]) -> list[Sides]:
    """The groups divided by a trait; only those with files of several sides."""
    divided: dict[Any, Sides] = defaultdict(lambda: defaultdict(list))
    for number, sides in enumerate(groups):
        for side, files in sides.items():
            for each in files:
                divided[number, trait(each)][side].append(each)
    return [sides for sides in divided.values() if len(sides) > 1]


def _affordable(groups: list[Sides], most: int, cost: Callable[[Listed], int]) -> list[Sides]:
    """The groups if they cost no more in all; else the cheapest of them, and of the next one every so-manieth file."""
    costs = [sum(cost(each) for files in sides.values() for each in files) for sides in groups]
    if sum(costs) <= most:
        return groups
    kept: list[Sides] = []
    for index in sorted(range(len(groups)), key=costs.__getitem__):
        step = max(1, -(-costs[index] // most))
        kept.append({side: files[::step] for side, files in groups[index].items()})
        most -= costs[index]
        if most <= 0:
            break
    return kept


def _hash(path: Path | Packed, last: int | None = None) -> bytes:
    """Of the content; last: of so many bytes at its end, since pictures of one length that differ, differ there."""
    try:
        with path.open("rb") as file:
            if last is not None:
                file.seek(-min(last, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return os.fsencode(str(path))  # unlike any other; the decoding will tell what is wrong


def _some(found: Iterable[str]) -> str:
    """The first three by name, and '…' if there are more."""
    names = sorted(found)
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
