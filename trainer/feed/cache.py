"""The folder of stores: files of decoded images, which runs share, kept under a limit, the longest unused going first.

Nothing here needs torch. A file is locked while it is in use (shared) or being written (exclusively); the system lets
go of the lock when its process ends, however it ends, so that nothing has to be guessed about who is still there.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainer.errors import DataError
from trainer.system.durable import free_bytes, nearest

_MAGIC = b"trainer\n"
_VERSION = 1
_FIELDS = struct.Struct("<8sI Q III 32s 200s")
_CHECKSUM = struct.Struct("<I")
_SHA256 = 32
_PAGE = 4096
_MOST_BLOCKS = 2**24
BLOCK = 32
"""Images that share a checksum."""
_OURS = re.compile(r"[0-9a-f]{32}\.(pixels|tmp)")
_PATIENCE = 0.1
_MOMENT = 0.01


@dataclass(frozen=True)
class Header:
    """What a store holds: count images of shape (C, H, W); fingerprint: of what they were decoded from, and how."""

    count: int
    shape: tuple[int, int, int]
    fingerprint: bytes
    title: str = ""
    """What the images are, for a person."""

    @property
    def num_blocks(self) -> int:
        return -(-self.count // BLOCK)

    @property
    def image_bytes(self) -> int:
        channels, height, width = self.shape
        return channels * height * width

    @property
    def start(self) -> int:
        """Where the pixels begin: on a page of their own."""
        head = _FIELDS.size + _CHECKSUM.size * self.num_blocks + _SHA256
        return -(-head // _PAGE) * _PAGE

    @property
    def num_bytes(self) -> int:
        """Of the whole file."""
        return self.start + self.count * self.image_bytes

    def packed(self, checksums: list[int]) -> bytes:
        """The head of the file: fields, the CRC-32 of each block of images, and the sha256 of both."""
        title = self.title.encode(errors="replace")[:200]
        fields = _FIELDS.pack(_MAGIC, _VERSION, self.count, *self.shape, self.fingerprint, title)
        head = fields + struct.pack(f"<{len(checksums)}I", *checksums)
        return head + hashlib.sha256(head).digest()


def read_header(file: BinaryIO) -> tuple[Header, list[int]] | None:
    """The header and the checksums of its blocks; None for any file that is not a whole store of this version."""
    file.seek(0)
    fields = file.read(_FIELDS.size)
    if len(fields) < _FIELDS.size:
        return None
    magic, version, count, channels, height, width, fingerprint, title = _FIELDS.unpack(fields)
    if magic != _MAGIC or version != _VERSION:
        return None
    words = "".join(each if each.isprintable() else "?" for each in title.rstrip(b"\0").decode(errors="replace"))
    header = Header(count, (channels, height, width), fingerprint, words)
    if not header.count or not header.image_bytes or header.num_blocks > _MOST_BLOCKS:
        return None
    if os.fstat(file.fileno()).st_size != header.num_bytes:
        return None
    index = file.read(_CHECKSUM.size * header.num_blocks)
    if hashlib.sha256(fields + index).digest() != file.read(_SHA256):
        return None
    return header, list(struct.unpack(f"<{header.num_blocks}I", index))


@dataclass(frozen=True)
class Stored:
    """A file of the folder. header: None if it is damaged, of another version, or was never finished."""

    path: Path
    num_bytes: int
    used: float
    header: Header | None
    in_use: bool


def stores(folder: Path) -> list[Stored]:
    """All files that are ours, the longest unused first. What a killed process was writing is removed on the way."""
    if not (os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()):  # is_dir alone may raise PermissionError
        return []
    found = []
    for path in [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]:
        if path.suffix == ".tmp" and delete(path):
            continue
        with contextlib.suppress(OSError), path.open("rb") as file:  # gone meanwhile, or not ours to read
            about = os.fstat(file.fileno())
            read = read_header(file) if path.suffix == ".pixels" else None
            found.append(Stored(path, about.st_size, about.st_mtime, read[0] if read else None, not _idle(file)))
    return sorted(found, key=lambda store: store.used)


def obstacle(folder: Path, wanted: Mapping[Path, int], limit: int) -> str | None:
    """Why a folder that may hold limit bytes in all cannot hold these stores of a run; None if it can.

    wanted: the bytes of each by its path, whether it lies there already or not.
    """
    needed = sum(wanted.values())
    if needed > limit:
        return f"data.cache_limit={limit / 2**30:g} (GiB) allows less"
    if refused := [path for path in wanted if os.access(path, os.F_OK) and not os.access(path, os.R_OK)]:
        return f"{refused[0]} belongs to another user, who alone may read it"
    others = [store for store in stores(folder) if store.path.with_suffix(".pixels") not in wanted]
    used = sum(store.num_bytes for store in others if store.in_use)
    if used + needed > limit:
        return f"other runs are using {gib(used)} of the {limit / 2**30:g} GiB that data.cache_limit allows"
    missing = sum(num_bytes for path, num_bytes in wanted.items() if not os.access(path, os.F_OK))
    free = room(folder)
    if missing > free + sum(store.num_bytes for store in others if not store.in_use):
        return f"{folder} has {gib(free)} free" if free else f"{folder} cannot be written"
    return None


def no_room(num_bytes: int, why_not: str) -> DataError:
    """What a user is told whose images cannot be kept on disk."""
    return DataError(
        f"data.cache: kept on disk the decoded images need {gib(num_bytes)}, and {why_not}. Raise data.cache_limit, "
        "name another folder (data.cache_dir=FOLDER), prepare smaller images (data.prepare), or use data.cache=none."
    )


def make_room(store: Path, num_bytes: int, limit: int) -> None:
    """Deletes the longest unused stores until the disk and the limit hold this one, whose .tmp has its full length.

    Raises DataError if that does not suffice: another run may have come first, or the others are another user's.
    """
    if why_not := obstacle(store.parent, {store: num_bytes}, limit):
        raise no_room(num_bytes, why_not)
    kept = stores(store.parent)
    total = sum(each.num_bytes for each in kept)
    for each in kept:
        if total <= limit and num_bytes <= room(store.parent):
            break
        if delete(each.path):
            total -= each.num_bytes
    if total > limit:
        raise no_room(num_bytes, f"{gib(total - num_bytes)} in {store.parent} cannot be deleted by this user")


def room(folder: Path) -> int:
    """What the disk of a folder has left for us, which need not be there yet; 0 where we may not write."""
    there = nearest(folder)
    return free_bytes(there) if there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK) else 0


def gib(num_bytes: int) -> str:
    """A size in words: '1.2 GiB', '75 MiB', '0.3 MiB'."""
    mib = num_bytes / 2**20
    return f"{mib / 1024:,.1f} GiB" if mib >= 1000 else f"{mib:.0f} MiB" if mib >= 9.5 else f"{mib:.1f} MiB"


def delete(path: Path) -> bool:
    """Whether the file is gone: one that is in use, or being written, stays."""
    try:
        with path.open("rb") as file:
            if not lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) or not _is_at(file, path):
                return False
            path.unlink()
            return True
    except FileNotFoundError:
        return True
    except OSError:  # not ours
        return False


@contextlib.contextmanager
def writing(path: Path, num_bytes: int, wait: Callable[[int], None]) -> Iterator[BinaryIO]:
    """A new file at path, which this process alone is writing; it is removed at the end unless it was renamed.

    wait: called with the bytes written so far, again and again, while another process is writing it. The file gets its
    full length at once, so that whoever looks at the folder counts what is still to come.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = _locked(path, wait)
    try:
        file.truncate(0)
        file.truncate(num_bytes)
        yield file
    finally:
        if _is_at(file, path):
            path.unlink()
        file.close()


def lock(file: BinaryIO, how: int) -> bool:
    """Whether the lock could be had; with LOCK_NB without waiting."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    return True


def _idle(file: BinaryIO) -> bool:
    """Whether no run uses the file. Asked twice: whoever asks at the same time holds the lock for a moment too."""
    for seconds in (0, _MOMENT):
        time.sleep(seconds)
        if lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    return False


def _locked(path: Path, wait: Callable[[int], None]) -> BinaryIO:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # umask says who may read it
        while not lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            wait(512 * os.fstat(file.fileno()).st_blocks)
            time.sleep(_PATIENCE)
        if _is_at(file, path):
            return file
        file.close()  # the other process has renamed or removed it: begin anew


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is the one that lies at path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
