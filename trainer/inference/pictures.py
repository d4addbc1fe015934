"""Finding the pictures to classify: files, folders, archives, and lists of paths on standard input."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.archive import is_archive
from trainer.data.formats import SUFFIXES, Packed
from trainer.data.members import count, members
from trainer.errors import DataError

LIST = "-"
"""The word for paths on standard input, one a line."""


@dataclass(frozen=True)
class Found:
    """A picture, or in its place why there is none; and its name: a path, or ARCHIVE/MEMBER."""

    name: str
    picture: Path | Packed | DataError

    def __str__(self) -> str:
        return self.name


def find(places: Sequence[str], beside: Path | None = None) -> Iterator[Found]:
    """The pictures at the places, one after the other, found when they are asked for.

    A file is taken whatever its name, a folder with all below it, in the order of names and without what is hidden; an
    archive counts as a folder where it is named itself. beside: a folder that is left out, since it is being written.
    """
    skipped = None if beside is None else beside.absolute()
    for place in places:
        for path in _listed() if place == LIST else [place]:
            yield from _at(Path(path).expanduser(), skipped)


def number_of(places: Sequence[str], beside: Path | None = None) -> int | None:
    """How many pictures `find` will find; None where only reading them would tell."""
    if LIST in places:
        return None
    skipped = None if beside is None else beside.absolute()
    counts = [_number_at(Path(place).expanduser(), skipped) for place in places]
    return None if None in counts else sum(each for each in counts if each is not None)


def _at(path: Path, skipped: Path | None) -> Iterator[Found]:
    if is_archive(path):
        for member in members(path):
            yield _failed(str(path), member) if isinstance(member, DataError) else Found(member.name, member)
    elif path.is_dir():
        yield from _below(path, skipped, set())
    else:
        yield Found(str(path), path)


def _number_at(path: Path, skipped: Path | None) -> int | None:
    if is_archive(path):
        return count(path)
    return sum(1 for _ in _below(path, skipped, set())) if path.is_dir() else 1


def _below(folder: Path, skipped: Path | None, entered: set[tuple[int, int]]) -> Iterator[Found]:
    """Links are followed, but no folder is entered twice."""
    if skipped is not None and folder.absolute() == skipped:
        return
    try:
        about = folder.stat()
        if (about.st_dev, about.st_ino) in entered:
            return
        entered.add((about.st_dev, about.st_ino))
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        yield _failed(str(folder), DataError(f"{folder}: cannot be listed ({error.strerror or error})."))
        return
    for name in names:
        path = folder / name
        if name.startswith(".") or name == "__MACOSX":
            continue
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            yield Found(str(path), path) if _may_be_read(path) else _failed(str(path), DataError("is no file."))
        elif path.is_dir():
            yield from _below(path, skipped, entered)


def _may_be_read(path: Path) -> bool:
    """Whether reading it comes to an end: not that of a pipe, or of a device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True  # whoever opens it will tell


def _failed(place: str, error: DataError) -> Found:
    """What is named in the error's own beginning: a member, or the place."""
    named, colon, _ = str(error).partition(": ")
    return Found(named if colon and named.startswith(place) else place, error)


def _listed() -> Iterator[str]:
    for line in sys.stdin.buffer:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path
