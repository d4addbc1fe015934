"""Pictures that can only be read from front to back, shard by shard: of a stream over the network, or from a program.

Their number, labels and sizes come from one pass over all of it, which is kept. From then on any sample is known by its
number, as if it lay on a disk; what is read is read in the order of its shards (feed/sequential.py).
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.decode import Frame, decode, short_side
from trainer.data.formats import Packed
from trainer.errors import DataError
from trainer.system.kept_array import read_array, write_array


class Passed(NamedTuple):
    """A sample as it comes by: its name, the bytes of its picture, and its label as JSON (empty: none)."""

    name: str
    content: bytes
    label: str


Read = Callable[[int], Generator[Passed, None, None]]
"""Number of a shard -> its samples in their order. Called from several threads. Raises DataError if it breaks off."""


@dataclass(frozen=True)
class Passing:
    """Pictures that come by, shard after shard. size: bytes of each. side: its short side, 0 of what is no picture.

    reach: by how many places a shuffle may delay one. interleave: shards that are read side by side, at most.
    """

    read: Read
    lengths: tuple[int, ...]
    size: NDArray[np.int64]
    side: NDArray[np.int32]
    reach: int
    interleave: int


def passed_through(read: Read, shard: int, what: object, cache: Path) -> NDArray[Any]:
    """A row for each sample of a shard: size, side, name, label. Read through now, unless `what` is known in cache."""
    digest = hashlib.sha256(repr(what).encode(errors="surrogateescape")).hexdigest()[:32]
    kept = cache / f"{digest}.passed"
    found = read_array(kept)
    if found is None:
        rows = [(len(each.content), _side(each), each.name.encode(), each.label.encode()) for each in read(shard)]
        name, label = (max([1, *map(len, texts)]) for texts in ([row[2] for row in rows], [row[3] for row in rows]))
        found = np.array(rows, [("size", "<i8"), ("side", "<i4"), ("name", f"S{name}"), ("label", f"S{label}")])
        with contextlib.suppress(OSError):  # where nothing can be kept, the next run reads it through again
            write_array(kept, found)
    return found


def _side(each: Passed) -> int:
    try:
        return short_side(Packed(each.name, lambda: each.content))
    except DataError:
        return 0  # told when it is decoded


@dataclass(frozen=True)
class PassingSamples:
    """Samples that come by in the order of their shards: to ask for one of them alone costs a part of a shard."""

    root: Path
    keys: Sequence[str]
    labels: Tensor
    passing: Passing
    frame: Frame
    groups: Sequence[str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frame.shape

    @property
    def starts(self) -> list[int]:
        """The first sample of each shard, and behind the last one how many there are."""
        return list(accumulate(self.passing.lengths, initial=0))

    def image(self, index: int) -> Tensor:
        shard = next(number for number, end in enumerate(self.starts[1:]) if index < end)
        return next(self.read(shard, {index}))[1]

    def read(self, shard: int, wanted: Collection[int]) -> Generator[tuple[int, Tensor], None, None]:
        """The wanted samples of a shard as they come by, each with its number; none of the others is decoded.

        The stream is closed before the last of them is given.
        """
        number, last = self.starts[shard] - 1, max(wanted)
        with contextlib.closing(self.passing.read(shard)) as coming:
            for number, each in enumerate(coming, self.starts[shard]):
                if number not in wanted:
                    continue
                image = self._decoded(number, each)
                if number == last:
                    break
                yield number, image
            else:
                raise DataError(
                    f"{self.root}: shard {shard} ends behind sample {number}, and had more when it was first read."
                )
        yield last, image

    def _decoded(self, number: int, each: Passed) -> Tensor:
        where = f"{self.root}/{self.keys[number]}"
        if len(each.content) != self.passing.size[number]:
            raise DataError(
                f"{where}: it is another one than when it was first read. Begin a run anew, after python -m "
                "trainer cache clear."
            )
        return decode(Packed(where, io.BytesIO(each.content).getvalue), self.frame)

    def digest(self) -> bytes:
        return hashlib.sha256(self.passing.size.tobytes()).digest()

    def version(self) -> bytes:
        material = repr((str(self.root), self.frame, self.passing.lengths)).encode(errors="surrogateescape")
        return hashlib.sha256(material + self.digest()).digest()

    def __len__(self) -> int:
        return len(self.labels)
