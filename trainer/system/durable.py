"""Files that are whole or not there, also after a crash, a power cut, or on a full disk."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".tmp"
"""Ends the name of a file that is being written. One that lies there at the start of a run is left of a killed one."""

LFS_POINTER = "a Git LFS pointer, not the file itself (git lfs pull fetches it)"
LFS_BEGINS = b"version https://git-lfs"


def is_lfs_pointer(path: Path) -> bool:
    """Whether this is what Git leaves in the place of a large file that was not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(LFS_BEGINS)) == LFS_BEGINS
    except OSError:
        return False  # whoever reads it will tell what is wrong


def write_beside(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Puts what `write` writes on the disk beside path, to be renamed over it; gives the name.

    Raises OSError if the disk does not take it, and what `write` raises; then it leaves nothing.
    """
    temporary = path.with_name(path.name + SUFFIX)
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # Ctrl-C, too
        temporary.unlink(missing_ok=True)  # the room it took may be what others lack
        raise
    return temporary


def replace(path: Path, data: bytes) -> None:
    """Makes data the content of the file: readers see the old or the new, whole. Raises OSError with the old intact."""
    write_beside(path, lambda file: file.write(data)).replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nearest(folder: Path) -> Path:
    """The folder, or where it is not there yet, the nearest one above it that is."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if os.access(path, os.F_OK))


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has left, which need not be there yet."""
    return shutil.disk_usage(nearest(folder)).free
