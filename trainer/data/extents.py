"""Pictures that lie within larger files, such as tar shards and Arrow tables: each read by itself, by its number."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

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

    def take(self, rows: NDArray[np.int64]) -> "Extents":
        """Those of some of the pictures."""
        return replace(self, file=self.file[rows], offset=self.offset[rows], size=self.size[rows])


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
        return Packed(f"{self.root}/{self.keys[index]}", partial(self.extents.read, index))

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
        digest = hashlib.sha256(repr(list(map(_about, files))).encode(errors="surrogateescape") + sample(files))
        for column in (extents.file, extents.offset, extents.size):
            digest.update(column.tobytes())
        return digest.digest()

    def __len__(self) -> int:
        return len(self.labels)


def _about(path: Path) -> tuple[str, int, Marks | None]:
    """What tells the file from another one in its place."""
    try:
        about = path.stat()
    except OSError:
        return str(path.absolute()), 0, None  # the decoding will tell what is wrong
    return str(path.absolute()), about.st_size, marks(about)
