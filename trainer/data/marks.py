"""What tells a file from another one in its place: its times, its number on the disk, and some of its bytes."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

_MOST_OPENED = 10_000
_PIECE = 1024

Marks = tuple[int, int, int]
"""Times of change of the content and of the entry, in nanoseconds, and the inode; 0 where the system has it not."""


def marks(about: os.stat_result) -> Marks:
    """Of a file. Two that are exchanged keep their lengths, and may have one time, but each has an inode of its own."""
    return about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def sample(paths: Sequence[Path]) -> bytes:
    """A checksum of a little of each file: its first KiB, the middle and the last. Of 10,000 files evenly, at most.

    10,000 take 0.4 s of a core, and 1 s where nothing of them is in memory yet.
    """
    digest = hashlib.sha256()
    for path in paths[:: max(1, -(-len(paths) // _MOST_OPENED))]:
        digest.update(_pieces(path))
    return digest.digest()


def _pieces(path: Path) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO that has come in its place is not waited for
    except OSError:
        return b""  # the decoding will tell what is wrong
    try:
        end = os.fstat(file).st_size
        return b"".join(os.pread(file, _PIECE, place) for place in (0, end // 2, max(0, end - _PIECE)))
    except OSError:
        return b""
    finally:
        os.close(file)
