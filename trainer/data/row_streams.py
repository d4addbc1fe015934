"""Rows that come by over the network or out of Parquet files: read from front to back by the package datasets."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from trainer.data.extents import Names
from trainer.data.passing import Passed, Passing, passed_through
from trainer.errors import DataError, first_line


@dataclass(frozen=True)
class PassingRows:
    """How the rows of a set are read. what: tells it from any other; cache: where what was found in it is kept.

    buffer, interleave: Passing's reach and interleave.
    """

    package: ModuleType
    image: str
    label: str
    what: tuple[object, ...]
    cache: Path
    buffer: int
    interleave: int

    def found(self, split: str, rows: Any) -> tuple[Names, list[Any], Passing]:
        """The names of a split's rows, their labels, and what reads their pictures.

        Raises DataError if the stream breaks off.
        """
        plain = rows.select_columns([self.image, self.label])
        plain = plain.cast_column(self.image, self.package.Image(decode=False))
        count = int(rows.num_shards)

        def read(number: int) -> Generator[Passed, None, None]:
            row = 0
            try:
                for row, each in enumerate(plain.shard(num_shards=count, index=number)):
                    label = "" if each[self.label] is None else json.dumps(each[self.label], default=str)
                    yield Passed(f"{row:07d}", _content(each[self.image]), label)
            except Exception as error:  # each format raises whatever its files lead it to
                where = f"{self.what[0]}, split {split}, shard {number}"
                raise DataError(f"{where}: the stream breaks off behind row {row} ({first_line(error)}).") from error

        shards = range(count)
        found = [
            passed_through(read, shard, (*self.what, self.image, self.label, split, count, shard), self.cache)
            for shard in shards
        ]
        size, side, name = (np.concatenate([each[column] for each in found]) for column in ("size", "side", "name"))
        shard = np.repeat(np.arange(count, dtype=np.int32), [len(each) for each in found])
        labels = [json.loads(label) if label else None for each in found for label in each["label"].tolist()]
        passing = Passing(read, tuple(map(len, found)), size, side, self.buffer, self.interleave)
        return Names([f"{split}/{number:05d}" for number in shards], shard, name), labels, passing


def _content(picture: Any) -> bytes:
    """The bytes of a cell, or of the file that it names."""
    if picture is None:
        return b""
    content: bytes | None = picture["bytes"]
    return Path(picture["path"]).read_bytes() if content is None else content
