"""Which files a set is made of: to tell what was changed in it, and which images lie in two of its parts."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainer.data.denoise import Denoised
from trainer.data.files import FileSamples
from trainer.data.source import Samples, Source, Subset

_SHOWN = 3
_LOOKED_AT = 20_000
"""Files of another part that are compared with the training files: a few seconds' reading at most."""
_TAIL = 4096


class Listed(NamedTuple):
    """A file of a set: its name below the root of its part, its class (-1: ignored), and its length."""

    root: Path
    name: str
    label: int
    num_bytes: int

    @property
    def path(self) -> Path:
        return self.root / self.name


def files_of(samples: Samples) -> list[Listed]:
    """The files that the samples are read from, in their order; none where they are not read from files."""
    if isinstance(samples, Denoised):
        return files_of(samples.whole)
    if isinstance(samples, Subset):
        whole = files_of(samples.whole)
        return [whole[index] for index in samples.indices.tolist()] if whole else []
    if not isinstance(samples, FileSamples):
        return []
    labels = samples.labels.tolist()
    columns = zip(samples.keys, labels, samples.num_bytes, strict=True)
    return [Listed(samples.root, key, label, num_bytes) for key, label, num_bytes in columns]


def listing(source: Source) -> dict[str, str]:
    """name -> 'class, bytes' of every file of the set, wherever the set lies; empty where it has no files."""
    found = [each for part in (source.train, source.val, source.test) if part is not None for each in files_of(part)]
    several = len({each.root for each in found}) > 1
    result = {}
    for each in found:
        name = f"{each.root.name}/{each.name}" if several else each.name
        result[name] = f"{source.classes[each.label] if each.label >= 0 else 'ignored'}, {each.num_bytes} bytes"
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
    """A line for each other part in which images of the training part lie too, byte for byte.

    Only files of one length are read, their ends first. Of a large part a fixed sample of 20,000 is looked for.
    """
    training = files_of(source.train)
    lines = []
    for part, samples in (("validation", source.val), ("test", source.test)):
        others = files_of(samples) if samples is not None else []
        looked_at = others[:: max(1, -(-len(others) // _LOOKED_AT))]
        twins = _twins(training, looked_at)
        if twins:
            total = f"{len(others):,}" if looked_at == others else f"{len(looked_at):,} looked at of {len(others):,}"
            lines.append(
                f"{len(twins)} of the {total} {part} images are training images too, byte for byte, which flatters the "
                f"{part} scores: {_some(f'{other} ({one} in training)' for one, other in twins)}"
            )
    return lines


def _twins(training: list[Listed], others: list[Listed]) -> list[tuple[str, str]]:
    """The names of each of the others, behind that of a training file of the same content."""
    same: dict[Any, tuple[list[Listed], list[Listed]]] = {None: (training, others)}
    for trait in (lambda each: each.num_bytes, lambda each: _hash(each.path, _TAIL), lambda each: _hash(each.path)):
        same = _shared(same.values(), trait)
    return [(ours[0].name, other.name) for ours, theirs in same.values() for other in theirs]


def _shared(
    groups: Iterable[tuple[list[Listed], list[Listed]]], trait: Callable[[Listed], Hashable]
) -> dict[Any, tuple[list[Listed], list[Listed]]]:
    """The groups divided by a trait; only those with files of both sides."""
    divided: dict[Any, tuple[list[Listed], list[Listed]]] = defaultdict(lambda: ([], []))
    for number, sides in enumerate(groups):
        for side, files in enumerate(sides):
            for each in files:
                divided[number, trait(each)][side].append(each)
    return {key: sides for key, sides in divided.items() if all(sides)}


def _hash(path: Path, last: int | None = None) -> bytes:
    """Of the content; last: of so many bytes at its end, since pictures of one length that differ, differ there."""
    try:
        with path.open("rb") as file:
            if last is not None:
                file.seek(-min(last, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return os.fsencode(path)  # unlike any other; the decoding will tell what is wrong


def _some(found: Iterable[str]) -> str:
    """The first three by name, and '…' if there are more."""
    names = sorted(found)
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
