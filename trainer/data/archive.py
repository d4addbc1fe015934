"""Archives of class folders: unpacked once, into the cache folder, and never a byte beside it."""

import fcntl
import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from trainer.data.marks import marks, sample
from trainer.errors import DataError, first_line
from trainer.system.durable import LFS_POINTER, is_lfs_pointer

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
FOLDER = "archives"
"""Of the cache folder: what is in them lies there."""
_MOST_ENTRIES = 2_000_000
_MOST_BYTES = 2**40
_MOST_TIMES = 100
"""How many times its own size an archive may unpack to. Images are compressed already; bombs unpack to 1,000 times."""
_SPARE_BYTES = 2**26
"""What any archive may unpack to, so that a small one of blank images is no bomb."""
_LONGEST_READ = 2**24
"""What one header of a tar may take in memory. File contents are copied in far smaller pieces."""
READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The ways of compressing in a zip that Python unpacks in bounded memory."""
_OURS = re.compile(r".{0,40}-[0-9a-f]{16}", re.DOTALL)


def is_archive(path: Path) -> bool:
    """Whether this is a file whose name ends as an archive's that can be unpacked."""
    return os.access(path, os.F_OK) and path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpacked(archive: Path, cache: Path) -> Path:
    """A folder in cache with all that is in the archive; unpacked now, unless this very file was unpacked before.

    It appears under its name when it is whole, and is unpacked anew when something of it is gone. Raises DataError, and
    leaves nothing behind, if the archive is cut short, locked by a password, names a place outside itself ('../', an
    absolute path, a link that leads out), holds devices or FIFOs, or unpacks to more than 2,000,000 entries, 1 TiB, or
    100 times its size (64 MiB are always fine).
    """
    about = archive.stat()
    if is_lfs_pointer(archive):
        raise DataError(f"{archive}: {LFS_POINTER}.")
    material = f"{archive.absolute()}\0{about.st_size}\0{marks(about)}".encode(errors="surrogateescape")
    name = hashlib.sha256(material + sample([archive])).hexdigest()[:16]
    place = cache / f"{archive.name.split('.')[0][:40]}-{name}"
    try:
        if not _is_whole(place):
            cache.mkdir(parents=True, exist_ok=True)
            with _alone(cache):
                if not _is_whole(place):  # else another run has unpacked it while this one waited
                    _remove_unfinished(cache)
                    _unpack_whole(archive, place, Budget(archive, about.st_size))
    except OSError as error:
        raise DataError(
            f"{archive}: cannot be unpacked into {cache} ({error.strerror or error}). Make room, name "
            "another folder (data.cache_dir=FOLDER), or unpack it yourself and give the folder."
        ) from error
    return place


def _record(place: Path) -> Path:
    """The file beside a tree that says how much is in it."""
    return place.with_name(f"{place.name}.whole")


def _is_whole(place: Path) -> bool:
    """Whether all is there that was unpacked: whoever cleans up by age takes single files."""
    record = _record(place)
    there = os.access(record, os.R_OK) and place.is_dir()
    return there and record.read_bytes() == repr(_measured(place)).encode()


def _measured(place: Path) -> tuple[int, int]:
    """How many files lie in the tree, and their bytes."""
    sizes = [Path(base, name).lstat().st_size for base, _, names in os.walk(place) for name in names]
    return len(sizes), sum(sizes)


def _remove_unfinished(cache: Path) -> None:
    """Deletes what a killed run was unpacking. To be called when nobody is."""
    for path in cache.glob("*.tmp"):
        if _OURS.fullmatch(path.stem):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Waits until no other process unpacks into the folder."""
    with (cache / "unpacking.lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


class Budget:
    """What an archive may still unpack to."""

    def __init__(self, archive: Path, num_bytes: int) -> None:
        self.archive = archive
        self.most_bytes = min(_MOST_TIMES * num_bytes + _SPARE_BYTES, _MOST_BYTES)
        self.num_bytes = 0
        self.num_entries = 0

    def take(self, num_bytes: int) -> None:
        """One entry more. Raises DataError if that is too much."""
        self.num_entries += 1
        self.num_bytes += num_bytes
        if self.num_entries > _MOST_ENTRIES:
            raise DataError(f"{self.archive}: refused, it has more than {_MOST_ENTRIES:,} entries.")
        if self.num_bytes > self.most_bytes:
            raise DataError(
                f"{self.archive}: refused, it would unpack to more than {self.most_bytes / 2**20:,.0f} MiB, "
                f"{_MOST_TIMES} times its size. If you trust it, unpack it yourself and give the folder."
            )


def _unpack_whole(archive: Path, place: Path, budget: Budget) -> None:
    temporary = place.with_name(f"{place.name}.tmp")
    temporary.mkdir()
    try:
        (_unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar)(archive, temporary, budget)
        _record(place).write_text(repr(_measured(temporary)))
        os.sync()  # a power cut must not leave whole names of empty files
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    except DataError:
        raise
    except Exception as error:  # the readers raise whatever broken bytes lead them to
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault
        raise DataError(
            f"{archive}: broken or cut short ({first_line(error).rstrip('.')}). Fetch or pack it again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack_zip(archive: Path, target: Path, budget: Budget) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        for entry in entries:
            check_name(archive, entry.filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.flag_bits & 1:
                raise DataError(f"{archive}: it is locked by a password. Unpack it yourself, and give the folder.")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{archive}: refused, '{entry.filename}' is neither a file nor a folder.")
            if entry.compress_type not in READABLE:
                raise DataError(
                    f"{archive}: '{entry.filename}' is compressed in a way that is not read here "
                    f"(method {entry.compress_type}). Unpack it yourself, and give the folder."
                )
            budget.take(entry.file_size)
        for entry in entries:
            path = target / entry.filename
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file)  # never more than the size that the entry claims


def _unpack_tar(archive: Path, target: Path, budget: Budget) -> None:
    zipped = archive.name.lower().endswith("gz")
    with gzip.open(archive) if zipped else archive.open("rb") as file:
        stream = Bounded(cast(BinaryIO, file), budget)
        links: set[PurePosixPath] = set()
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as opened:
            for entry in opened:
                place = check_name(archive, entry.name)
                if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                    raise DataError(f"{archive}: refused, '{entry.name}' is neither a file nor a folder.")
                if not links.isdisjoint([place, *place.parents]):
                    raise DataError(f"{archive}: refused, '{entry.name}' would be written through a link.")
                if entry.issym() or entry.islnk():
                    _check_link(archive, entry, place)
                    links.add(place)
                budget.take(entry.size)
                opened.extract(entry, target, filter="data")
            end = opened.offset
        stream.seek(end)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile stops at anything without a word
            raise DataError(
                f"{archive}: broken or cut short after {budget.num_entries:,} entries. Fetch or pack it again."
            )
        while stream.read(tarfile.RECORDSIZE):  # to the end, where a gzip has its checksum
            pass


def check_name(archive: Path, name: str) -> PurePosixPath:
    """Where the entry lies in the archive. Raises DataError if that is outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive}: refused, '{name}' would be written outside its folder.")
    return path


def _check_link(archive: Path, entry: tarfile.TarInfo, place: PurePosixPath) -> None:
    """Raises DataError if the link leads out of the archive.

    A '..' may stand in front only: behind the name of another link it would go up from wherever that one leads.
    """
    to = PurePosixPath(entry.linkname)
    steps_up = next((index for index, part in enumerate(to.parts) if part != ".."), len(to.parts))
    room = len(place.parent.parts) if entry.issym() else 0  # a hard link's name starts at the archive's top
    if to.is_absolute() or steps_up > room or ".." in to.parts[steps_up:]:
        raise DataError(f"{archive}: refused, the link '{entry.name}' leads outside its folder, to '{to}'.")


def tar_entries(file: BinaryIO, budget: Budget) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar, by their headers alone. Raises DataError at its end if it was cut short."""
    stream = cast(BinaryIO, Bounded(file, budget))
    with tarfile.open(fileobj=stream, mode="r:") as opened:
        while (entry := opened.next()) is not None:
            opened.members.clear()  # type: ignore[attr-defined]  # else it would remember all of them
            yield entry
        end = opened.offset
    stream.seek(end)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile stops at anything without a word
        raise DataError(f"{budget.archive}: broken or cut short. Fetch or pack it again.")


class Bounded(io.RawIOBase):
    """A tar's bytes for tarfile, which would read a header of any claimed length, and unpack a gzip without end."""

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        self.file = file
        self.budget = budget
        self.most_bytes = 2 * budget.most_bytes  # headers count 512 bytes an entry, and contents are filled up

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ or self.file.tell() > self.most_bytes:
            raise DataError(f"{self.budget.archive}: refused, its headers claim more than can be in them.")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if offset > self.most_bytes:
            raise DataError(f"{self.budget.archive}: refused, its headers claim more than can be in them.")
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()
