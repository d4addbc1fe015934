"""Pictures in Arrow files, as the package datasets writes them: where the bytes of each row lie."""

import mmap
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.extents import Extents
from trainer.errors import DataError

_OFFSETS = {"binary": np.int32, "string": np.int32, "large_binary": np.int64, "large_string": np.int64}
"""What Arrow counts the bytes of a row with, by its names of types."""


def extents_of(files: Sequence[Path], column: str) -> tuple[Extents, list[str] | None]:
    """Where the pictures of a column lie; and where each is a file of its own, their paths.

    A picture is bytes, or datasets' own pair of bytes and path, where one of both may be empty. Raises DataError for a
    column of anything else.
    """
    pieces = [piece for number, path in enumerate(files) for piece in _of_file(number, path, column)]
    file, offset, size = (np.concatenate([each[part] for each in pieces]) for part in range(3))
    paths = [path for each in pieces for path in each[3]]
    if not any(paths):
        return Extents(files, file, offset, size), None
    own = [(row, path) for row, path in enumerate(paths) if path]
    for number, (row, path) in enumerate(own, len(files)):
        file[row], offset[row], size[row] = number, 0, _length(path)
    everything = [*files, *(Path(path) for _, path in own)]
    return Extents(everything, file, offset, size), [path for _, path in own] if len(own) == len(paths) else None


_Piece = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], list[str]]
"""Of some rows: number of the file, offsets, sizes; and the path of each that is a file of its own, or ''."""


def _of_file(number: int, path: Path, column: str) -> Iterator[_Piece]:
    arrow = import_module("pyarrow")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    whole = arrow.py_buffer(mapped)
    for batch in arrow.ipc.open_stream(whole):
        rows = batch.column(batch.schema.get_field_index(column))
        pair = (
            {field.name: part for field, part in zip(rows.type, rows.flatten(), strict=True)} if _is_pair(rows) else {}
        )
        content = pair.get("bytes", rows)
        if str(content.type) not in _OFFSETS or (not pair and "string" in str(content.type)):
            raise DataError(f"data.image={column}: the column holds {rows.type}, and no pictures.")
        starts, sizes = _places(content, whole.address, len(mapped))
        files = np.full(len(rows), number, np.int32)
        paths = pair["path"].to_pylist() if "path" in pair and content.null_count else [None] * len(rows)
        alone = [path or "" if empty else "" for path, empty in zip(paths, content.is_null().tolist(), strict=True)]
        mapped.madvise(mmap.MADV_DONTNEED)  # the pages around each offset would add up to the file
        yield files, starts, sizes, alone


def _is_pair(rows: Any) -> bool:
    return str(rows.type).startswith("struct<")


def _places(content: Any, base: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offset in the file and number of bytes of each value; (0, 0) of an empty one."""
    _, offsets, values = content.buffers()
    if values is None or not values.size:
        return np.zeros(len(content), np.int64), np.zeros(len(content), np.int64)
    counts = np.frombuffer(offsets, _OFFSETS[str(content.type)])[content.offset :][: len(content) + 1].astype(np.int64)
    first = values.address - base
    if not 0 <= first <= length - values.size:
        raise DataError("data.root: an Arrow file in it is compressed. Write it anew with save_to_disk of datasets.")
    return first + counts[:-1], np.diff(counts)


def _length(path: str) -> int:
    """Of a file; 0 of one that is not there, which its reading will tell."""
    return Path(path).stat().st_size if os.access(path, os.F_OK) else 0
