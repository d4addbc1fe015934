"""Pictures that lie within larger files, such as tar shards and Arrow tables: each read by itself, by its number."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.decode import Frame, decode
from trainer.data.formats import Packed
from trainer.data.marks import Marks, marks, sample


@dataclass(frozen=True)
class Extents:
    """Where pictures lie: picture i takes size[i] bytes of files[file[i]], from offset[i] on. 20 bytes a picture."""

    files: Sequence[Path]
    file: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]

    def read(self, index: int) -> bytes:
        """The bytes of a picture. Raises OSError if they are not all there."""
        size = int(self.size[index])
        with self.files[self.file[index]].open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), size, int(self.offset[index]))
        if len(content) < size:
            raise OSError(f"{size - len(content):,} of its {size:,} bytes are not there")
        return content

    def picture(self, index: int, name: str) -> Packed:
        """One of them, as it is stored, by its name in messages."""
        return Packed(name, partial(self.read, index))

    def take(self, rows: NDArray[np.int64]) -> "Extents":
        """Those of some of the pictures."""
        return replace(self, file=self.file[rows], offset=self.offset[rows], size=self.size[rows])


@dataclass(frozen=True)
class Names(Sequence[str]):
    """Names of pictures in shards, put together when asked for: as strings, millions would fill the memory."""

    shards: Sequence[str]
    shard: NDArray[np.int32]
    names: NDArray[np.bytes_]

    def __getitem__(self, index: Any) -> Any:
        return f"{self.shards[self.shard[index]]}/{self.names[index].decode()}"

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class PackedSamples:
    """Pictures within larger files, decoded when they are asked for; keys are their names below root.

    Nothing is mapped into memory, and no file is held open: a process does not grow with the set, and may fork.
    """

    root: Path
    keys: Sequence[str]
    labels: Tensor
    extents: Extents
    frame: Frame
    groups: Sequence[str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frame.shape

    @property
    def num_bytes(self) -> list[int]:
        """(N,) the length of each picture."""
        sizes: list[int] = self.extents.size.tolist()
        return sizes

    def picture(self, index: int) -> Packed:
        """One of them, as it is stored."""
        return self.extents.picture(index, f"{self.root}/{self.keys[index]}")

    def image(self, index: int) -> Tensor:
        return decode(self.picture(index), self.frame)

    def digest(self) -> bytes:
        return hashlib.sha256(self.extents.size.tobytes()).digest()

    def version(self) -> bytes:
        return hashlib.sha256(repr(self.frame).encode() + self._place).digest()

    @cached_property
    def _place(self) -> bytes:
        """Of where each picture lies, and of the files that they lie in, as they are now."""
        extents, files = self.extents, self.extents.files
        digest = hashlib.sha256(repr(list(map(about, files))).encode(errors="surrogateescape") + sample(files))
        for column in (extents.file, extents.offset, extents.size):
            digest.update(column.tobytes())
        return digest.digest()

    def __len__(self) -> int:
        return len(self.labels)


def about(path: Path) -> tuple[str, int, Marks | None]:
    """What tells the file from another one in its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), 0, None
    return str(path.absolute()), found.st_size, marks(found)
