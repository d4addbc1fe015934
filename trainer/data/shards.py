"""Tar shards as WebDataset has them: which files are one sample, where its picture lies, and what its label is.

A shard is read through once, for its headers and labels alone. What was found is kept, so that from then on any picture
of any shard is read by itself, as if it were a file.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.data.archive import Budget, tar_entries
from trainer.data.extents import Extents
from trainer.data.files import readable
from trainer.data.formats import SUFFIXES
from trainer.data.marks import marks, sample
from trainer.errors import DataError, first_line
from trainer.system.durable import LFS_POINTER, is_lfs_pointer
from trainer.system.kept_array import read_array, write_array

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


Rows = NDArray[Any]
"""What was found in a shard, a row for each sample; its columns name and label are what the picture is called, and its
label as JSON (empty: none)."""
_Sample = dict[str, _Member]
"""The files of a sample, by their endings."""


@dataclass(frozen=True)
class ShardsOnDisk:
    """How shards are read that are files here. cache: where what was found in them is kept."""

    split: Split
    asked: Asked
    cache: Path

    def found(self, shards: Sequence[str]) -> tuple[list[Rows], Extents]:
        """For each shard its rows, and where the pictures of all of them lie. Raises DataError as index_of does."""
        files = [Path(shard) for shard in shards]
        rows = [index_of(file, self.asked, self.split, self.cache) for file in files]
        shard = np.repeat(np.arange(len(files), dtype=np.int32), [len(each) for each in rows])
        offset, size = (np.concatenate([each[column] for each in rows]) for column in ("offset", "size"))
        return rows, Extents(files, shard, offset, size)

    def contents(self, shard: str) -> str:
        """What the first sample is made of, in words: 'jpg, json (caption, class)'."""
        path = Path(shard)
        with path.open("rb") as file:
            found = next(_samples(file, Budget(path, path.stat().st_size), self.split))
            return fields_of(found, lambda ending: _content(path, file, found[ending]))


def index_of(shard: Path, asked: Asked, split: Split, cache: Path) -> Rows:
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


def fields_of(endings: Collection[str], read: Callable[[str], bytes]) -> str:
    """The files of a sample in words, with the fields of its json. read: the file of an ending."""
    told = json.loads(read("json")) if "json" in endings else None
    fields = f" ({', '.join(told)})" if isinstance(told, dict) else ""
    return ", ".join(f"{ending}{fields}" if ending == "json" else ending for ending in sorted(endings))


def _index(shard: Path, num_bytes: int, asked: Asked, split: Split) -> Rows:
    if is_lfs_pointer(shard):
        raise DataError(f"{shard}: {LFS_POINTER}.")
    rows: list[tuple[int, int, bytes, bytes]] = []
    try:
        with shard.open("rb") as file:
            for found in _samples(file, Budget(shard, num_bytes), split):
                names = {ending: f"{shard}/{member.name}" for ending, member in found.items()}
                ending = picture_in(names, asked)
                first = next(iter(found.values()))
                picture = found[ending] if ending else _Member(first.name, 0, 0)
                label = label_in(names, lambda each, of=found: _content(shard, file, of[each]), asked)  # type: ignore[misc]
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


def picture_in(names: Mapping[str, str], asked: Asked) -> str | None:
    """The ending of a sample's picture. names: of its files, by their endings. Raises DataError if it has several."""
    found = [
        ending
        for ending in names
        if (ending == asked.image if asked.image else f".{ending.split('.')[-1]}" in SUFFIXES)
    ]
    if len(found) > 1:
        raise DataError(
            f"A sample has several pictures, {' and '.join(names[each] for each in found)}. Say which is meant: "
            f"data.image={found[0]}"
        )
    return found[0] if found else None


def label_in(names: Mapping[str, str], read: Callable[[str], bytes], asked: Asked) -> str:
    """A sample's label as JSON, a name or a list of names; empty where it has none. read: the file of an ending."""
    said = asked.label or ("cls" if "cls" in names else "json")
    ending, field = ("json", said[5:]) if said.split(".")[0] == "json" else (said, "")
    if ending not in names:
        return ""
    try:
        text = read(ending).decode().strip()
        told = json.loads(text) if ending == "json" else text or None
    except ValueError as error:
        how = "JSON" if ending == "json" else "text"
        raise DataError(f"{names[ending]}: it cannot be read as {how} ({error}).") from error
    if isinstance(told, dict):
        told = next((told[name] for name in ([field] if field else _FIELDS) if name in told), None)
    if isinstance(told, dict) or (isinstance(told, list) and any(isinstance(each, list | dict) for each in told)):
        raise DataError(
            f"{names[ending]}: a label is a name, a number or a list of these. Say which field: data.label=json.FIELD"
        )
    if told is None:
        return ""
    return json.dumps([str(each) for each in told] if isinstance(told, list) else str(told))


def _content(shard: Path, file: BinaryIO, member: _Member) -> bytes:
    if member.size > _MOST_BYTES:
        raise DataError(f"{shard}/{member.name}: {member.size:,} bytes are no label. Say which file is: data.label=cls")
    return os.pread(file.fileno(), member.size, member.offset)
