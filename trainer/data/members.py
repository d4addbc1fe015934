"""The pictures in an archive, read one by one: nothing of it is unpacked onto the disk."""

import gzip
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from trainer.data.archive import READABLE, Budget, check_name, tar_entries
from trainer.data.formats import SUFFIXES, Packed
from trainer.errors import DataError, first_line

_MOST_BYTES = 2**29
"""Of one picture: twice of what the largest that is decoded takes without any compression."""
_Entry = zipfile.ZipInfo | tarfile.TarInfo


def members(archive: Path) -> Iterator[Packed | DataError]:
    """The pictures in a zip or tar, hidden ones left out; in the place of one that is refused, and at the end of a
    broken archive, why.

    Those of a zip, in the order of their names, and of a tar are read when they are asked for; those of a tar.gz, which
    can only be read from its beginning, as they come.
    """
    try:
        budget = Budget(archive, archive.stat().st_size)
        yield from (_of_zip if archive.name.lower().endswith(".zip") else _of_tar)(archive, budget)
    except DataError as error:
        yield error
    except Exception as error:  # the readers raise whatever broken bytes lead them to
        yield DataError(f"{archive}: broken or cut short ({first_line(error).rstrip('.')}). Fetch or pack it again.")


def count(archive: Path) -> int | None:
    """How many pictures a zip lists; None of a tar, which lists nothing, and of what cannot be read."""
    if not archive.name.lower().endswith(".zip"):
        return None
    try:
        with zipfile.ZipFile(archive) as opened:
            return sum(_is_picture(entry.filename) for entry in opened.infolist())
    except Exception:  # as above; whoever reads it will tell
        return None


def _of_zip(archive: Path, budget: Budget) -> Iterator[Packed | DataError]:
    opened = zipfile.ZipFile(archive)  # closed with the last of its pictures: they are read later, in other threads
    for entry in sorted(opened.infolist(), key=lambda each: each.filename):
        if _is_picture(entry.filename) and not entry.is_dir():
            refused = _refusal(archive, entry, entry.filename, entry.file_size, budget)
            yield refused or Packed(_named(archive, entry.filename), partial(_unzipped, opened, entry))


def _unzipped(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with opened.open(entry) as file:
        return file.read()  # never more than the size that the entry claims


def _of_tar(archive: Path, budget: Budget) -> Iterator[Packed | DataError]:
    zipped = archive.name.lower().endswith("gz")
    with gzip.open(archive) if zipped else archive.open("rb") as file:
        for entry in tar_entries(cast(BinaryIO, file), budget):
            if entry.isdir() or not _is_picture(entry.name):
                continue
            if refused := _refusal(archive, entry, entry.name, entry.size, budget):
                yield refused
                continue
            held = _content(cast(BinaryIO, file), entry) if zipped else None
            read = partial(_part_of, archive, entry.offset_data, entry.size) if held is None else partial(bytes, held)
            yield Packed(_named(archive, entry.name), read)


def _content(file: BinaryIO, entry: tarfile.TarInfo) -> bytes:
    """The last byte is read by itself: tarfile goes back to it, and a gzip further back than its buffer begins anew."""
    file.seek(entry.offset_data)
    return file.read(entry.size - 1) + file.read(1) if entry.size else b""


def _part_of(archive: Path, offset: int, size: int) -> bytes:
    with archive.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _named(archive: Path, name: str) -> str:
    return f"{archive}/{PurePosixPath(name)}"  # './cat.jpg' is 'cat.jpg'


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _refusal(archive: Path, entry: _Entry, name: str, size: int, budget: Budget) -> DataError | None:
    """Why the entry is not read; None if nothing speaks against it. Raises DataError where all of it is refused."""
    where = _named(archive, name)
    try:
        check_name(archive, name)
    except DataError:
        return DataError(f"{where}: refused, its name leads out of the archive.")
    if isinstance(entry, tarfile.TarInfo) and not entry.isreg():
        return DataError(f"{where}: refused, it is no file of its own.")
    if isinstance(entry, zipfile.ZipInfo) and entry.flag_bits & 1:
        return DataError(f"{where}: it is locked by a password.")
    if isinstance(entry, zipfile.ZipInfo) and entry.compress_type not in READABLE:
        return DataError(f"{where}: it is compressed in a way that is not read here.")
    if size > _MOST_BYTES:
        return DataError(f"{where}: refused, it would unpack to {size / 2**20:,.0f} MiB.")
    budget.take(size)
    return None
