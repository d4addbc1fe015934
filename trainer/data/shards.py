"""Tar shards as WebDataset has them: which files are one sample, where its picture lies, and what its label is.

A shard is read through once, for its headers and labels alone. What was found is kept, so that from then on any picture
of any shard is read by itself, as if it were a file.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.data.archive import Budget, tar_entries
from trainer.data.files import readable
from trainer.data.formats import SUFFIXES
from trainer.data.marks import marks, sample
from trainer.errors import DataError, first_line
from trainer.system.durable import LFS_POINTER, is_lfs_pointer
from trainer.system.kept_array import read_array, write_array

FOLDER = "shards"
"""Of the cache folder: what was found in them is kept there."""
Split = Callable[[str], tuple[str | None, str | None]]
"""The name of a file in a shard -> the sample that it is of, and its ending: ('a/0001', 'left.jpg')."""
_VERSION = 1
_MOST_BYTES = 2**20
"""Of a label, or of the json that holds it."""
_FIELDS = ("label", "labels", "cls")
"""Of a json, those that are its labels where none is said."""


@dataclass(frozen=True)
class Asked:
    """Which files of a sample matter, by their endings; None: found out.

    image: the picture; None: the one whose ending is a picture's. label: the file with its label, or json.FIELD; None:
    cls, or else the label of the json.
    """

    image: str | None = None
    label: str | None = None


class _Member(NamedTuple):
    """A file in a shard."""

    name: str
    offset: int
    size: int


_Sample = dict[str, _Member]
"""The files of a sample, by their endings."""


def index_of(shard: Path, asked: Asked, split: Split, cache: Path) -> NDArray[Any]:
    """A row for each sample: offset and size of its picture (0, 0: none), name, and label as JSON (empty: none).

    Kept in cache; a shard that is another one is read through anew. Raises DataError if it is not there, broken or cut
    short, if a sample has several pictures, or if a label cannot be read.
    """
    try:
        about = shard.stat()
        material = repr((_VERSION, str(shard.absolute()), about.st_size, marks(about), asked))
        digest = hashlib.sha256(material.encode(errors="surrogateescape") + sample([shard])).hexdigest()[:32]
        kept = cache / f"{digest}.index"
        found = read_array(kept)
        if found is None:
            found = _index(shard, about.st_size, asked, split)
            with contextlib.suppress(OSError):  # where nothing can be kept, the next run reads it through again
                write_array(kept, found)
    except OSError as error:
        raise DataError(f"{shard}: the shard cannot be read ({error.strerror or error}).") from error
    return found


def contents(shard: Path, split: Split) -> str:
    """What the first sample is made of, in words: 'jpg, json (caption, class)'."""
    with shard.open("rb") as file:
        found = next(_samples(file, Budget(shard, shard.stat().st_size), split))
        told = json.loads(_content(shard, file, found["json"])) if "json" in found else None
    fields = f" ({', '.join(told)})" if isinstance(told, dict) else ""
    return ", ".join(f"{ending}{fields}" if ending == "json" else ending for ending in sorted(found))


def _index(shard: Path, num_bytes: int, asked: Asked, split: Split) -> NDArray[Any]:
    if is_lfs_pointer(shard):
        raise DataError(f"{shard}: {LFS_POINTER}.")
    rows: list[tuple[int, int, bytes, bytes]] = []
    try:
        with shard.open("rb") as file:
            for found in _samples(file, Budget(shard, num_bytes), split):
                picture = _picture(shard, found, asked)
                label = _label(shard, file, found, asked)
                rows.append((picture.offset, picture.size, readable(picture.name).encode(), label.encode()))
    except (DataError, OSError):
        raise
    except Exception as error:  # tarfile raises whatever broken bytes lead it to
        raise DataError(
            f"{shard}: broken or cut short ({first_line(error).rstrip('.')}). Fetch or pack it again."
        ) from error
    if not rows:
        raise DataError(f"{shard}: no sample is in it, which is files such as 0001.jpg and 0001.cls.")
    longest = [max(1, max(map(len, texts))) for texts in ([row[2] for row in rows], [row[3] for row in rows])]
    columns = [("offset", "<i8"), ("size", "<i8"), ("name", f"S{longest[0]}"), ("label", f"S{longest[1]}")]
    return np.array(rows, columns)


def _samples(file: BinaryIO, budget: Budget, split: Split) -> Iterator[_Sample]:
    """The samples: files that follow one another, and have one name but for their endings."""
    found, of = _Sample(), None
    for entry in tar_entries(file, budget):
        hidden = any(part.startswith(".") and part != "." for part in PurePosixPath(entry.name).parts)
        base, ending = split(entry.name)
        if not entry.isreg() or entry.issparse() or hidden or base is None or ending is None:
            continue
        if base != of and found:
            yield found
            found = {}
        if ending.lower() in found:
            raise DataError(f"{budget.archive}: {entry.name} is in it twice. Give each sample a name of its own.")
        of, found[ending.lower()] = base, _Member(entry.name, entry.offset_data, entry.size)
    if found:
        yield found


def _picture(shard: Path, found: _Sample, asked: Asked) -> _Member:
    """That of a sample; of one that has none, a member of no bytes."""
    pictures = [
        ending
        for ending in found
        if (ending == asked.image if asked.image else f".{ending.split('.')[-1]}" in SUFFIXES)
    ]
    if len(pictures) > 1:
        raise DataError(
            f"{shard}: a sample has several pictures, {' and '.join(found[each].name for each in pictures)}. Say which "
            f"is meant: data.image={pictures[0]}"
        )
    first = next(iter(found.values()))
    return found[pictures[0]] if pictures else _Member(first.name, 0, 0)


def _label(shard: Path, file: BinaryIO, found: _Sample, asked: Asked) -> str:
    """That of a sample as JSON, a name or a list of names; empty where it has none."""
    said = asked.label or ("cls" if "cls" in found else "json")
    ending, field = ("json", said[5:]) if said.split(".")[0] == "json" else (said, "")
    if ending not in found:
        return ""
    where, content = f"{shard}/{found[ending].name}", _content(shard, file, found[ending])
    try:
        text = content.decode().strip()
        told = json.loads(text) if ending == "json" else text or None
    except ValueError as error:
        raise DataError(f"{where}: it cannot be read as {'JSON' if ending == 'json' else 'text'} ({error}).") from error
    if isinstance(told, dict):
        told = next((told[name] for name in ([field] if field else _FIELDS) if name in told), None)
    if isinstance(told, dict) or (isinstance(told, list) and any(isinstance(each, list | dict) for each in told)):
        raise DataError(
            f"{where}: a label is a name, a number or a list of these. Say which field: data.label=json.FIELD"
        )
    if told is None:
        return ""
    return json.dumps([str(each) for each in told] if isinstance(told, list) else str(told))


def _content(shard: Path, file: BinaryIO, member: _Member) -> bytes:
    if member.size > _MOST_BYTES:
        raise DataError(f"{shard}/{member.name}: {member.size:,} bytes are no label. Say which file is: data.label=cls")
    return os.pread(file.fileno(), member.size, member.offset)
