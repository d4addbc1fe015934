"""A store on disk: the pixels of many images in one file, decoded once and mapped into memory by every later run."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray

import trainer
from trainer.data.source import Samples
from trainer.errors import DataError
from trainer.feed.cache import BLOCK, Header, gib, lock, make_room, read_header, writing
from trainer.system.durable import sync_folder

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done, and how many there are."""
Pixels = NDArray[np.uint8]
"""Images, (N, C, H, W). Arrays rather than tensors: to copy one, torch wakes all its threads, and they wait for each
other where cores are busy, be it with decoding."""
Put = Callable[[int, Pixels], None]
"""Takes the number of a block's first image, and the block: 32 images, or what is left of them."""
_MOST_HELD = 2**30


class Packed:
    """The images of a store, uint8 (N, C, H, W), read through the page cache.

    Pages are given back as soon as they are copied: the process does not grow with the set. The mapping holds the lock
    that the file has when it is given, so that nobody deletes it meanwhile.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.shape = (header.count, *header.shape)
        self.mapping = mmap.mmap(file.fileno(), header.num_bytes, access=mmap.ACCESS_READ)
        rows = np.frombuffer(self.mapping, np.uint8, offset=header.start)
        self.rows = rows.reshape(header.count, header.image_bytes)

    def take(self, rows: NDArray[np.int64], axis: int) -> Pixels:
        """As an array's, along its first axis."""
        assert axis == 0
        images = self.rows.take(rows, axis)
        self.mapping.madvise(mmap.MADV_DONTNEED)
        return images.reshape(-1, *self.shape[1:])


def blocks_held(wanted: int, image_bytes: int) -> int:
    """How many blocks of images may be in memory beside the store: as many as are wanted, but 1 GiB at most."""
    return max(1, min(wanted, _MOST_HELD // (BLOCK * image_bytes)))


def header_of(samples: Samples, title: str = "") -> Header:
    """What the samples' store says of itself, if it is theirs and up to date."""
    how = (len(samples), samples.shape, trainer.__version__, PIL.__version__)  # another release may decode otherwise
    digest = hashlib.sha256(repr(how).encode() + samples.version())
    digest.update("\0".join(samples.keys).encode(errors="surrogateescape"))
    return Header(len(samples), samples.shape, digest.digest(), title)


def path_of(header: Header, folder: Path) -> Path:
    """Where the store lies."""
    return folder / f"{header.fingerprint.hex()[:32]}.pixels"


def packed(
    header: Header,
    folder: Path,
    limit: int,
    fill: Callable[[Put], None],
    workers: int,
    progress: Progress | None = None,
) -> Packed:
    """The samples' store, verified; where it is missing or is not what it should be, it is built first.

    limit: bytes that the folder may hold in all. fill: decodes all blocks, and gives them to what it is handed. If
    another process is building the same store, that is waited for. Raises DataError if it cannot be written.
    """
    path = path_of(header, folder)

    def wait(num_bytes: int) -> None:
        if progress:
            done = (num_bytes - header.start) // header.image_bytes
            progress("Another run is reading these images", min(max(0, done), header.count), header.count)

    try:
        found = _opened(path, header, workers)
        if found is None:
            with writing(path.with_suffix(".tmp"), header.num_bytes, wait) as file:
                found = _opened(path, header, workers)  # another process may have built it meanwhile
                if found is None:
                    make_room(path, header.num_bytes, limit)
                    _write(file, header, fill)
                    lock(file, fcntl.LOCK_SH)  # from now on to be read, but not to be deleted
                    path.with_suffix(".tmp").replace(path)
                    sync_folder(folder)
                    found = _opened(path, header, workers)
    except OSError as error:
        raise DataError(
            f"{path}: {gib(header.num_bytes)} of decoded images cannot be kept there ({error.strerror}). Make room "
            "(python -m trainer cache clear), name another folder (data.cache_dir=FOLDER), or use data.cache=none."
        ) from error
    if found is None:
        raise DataError(f"{path}: what was written there reads back otherwise. Check the disk, or use data.cache=none.")
    return found


def _opened(path: Path, wanted: Header, workers: int) -> Packed | None:
    """The store at path; None if there is none, or not this one, or not as it was written."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        lock(file, fcntl.LOCK_SH)
        read = read_header(file)
        if read is None or read[0].fingerprint != wanted.fingerprint or not _verified(file, *read, workers):
            return None
        with contextlib.suppress(OSError):  # a store that others have made, or on a disk that is only read
            os.utime(file.fileno())
        return Packed(file, read[0])


def _verified(file: BinaryIO, header: Header, checksums: list[int], workers: int) -> bool:
    """Whether all pixels are as they were written. It also draws them into the page cache, in the disk's own order."""
    block_bytes = BLOCK * header.image_bytes

    def right(number: int) -> bool:
        size = min(block_bytes, header.count * header.image_bytes - number * block_bytes)
        return zlib.crc32(os.pread(file.fileno(), size, header.start + number * block_bytes)) == checksums[number]

    with ThreadPoolExecutor(blocks_held(workers, header.image_bytes)) as pool:
        return all(pool.map(right, range(header.num_blocks)))


def _write(file: BinaryIO, header: Header, fill: Callable[[Put], None]) -> None:
    checksums = [0] * header.num_blocks

    def put(first: int, images: Pixels) -> None:
        pixels = images.data.cast("B")
        checksums[first // BLOCK] = zlib.crc32(pixels)
        _write_at(file, pixels, header.start + first * header.image_bytes)

    fill(put)
    _write_at(file, memoryview(header.packed(checksums)), 0)
    os.fsync(file.fileno())


def _write_at(file: BinaryIO, content: memoryview, place: int) -> None:
    while content:
        written = os.pwrite(file.fileno(), content, place)
        content, place = content[written:], place + written
