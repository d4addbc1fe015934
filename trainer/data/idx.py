"""The IDX files of MNIST and the sets that follow it, raw or gzipped, as a Source."""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import torch
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.source import ArraySamples, Source
from trainer.errors import DataError
from trainer.size import square
from trainer.system.durable import LFS_POINTER, is_lfs_pointer

_UNSIGNED_BYTES = 0x08
_MOST_DIMS = 3
_MOST_BYTES = 2**32
_PIECE = 2**20
_FIRST_FILE = "train-images-idx3-ubyte"


def idx_source(
    root: str,
    classes: tuple[str, ...],
    wishes: Wishes,
    *,
    folder: str,
    download: Callable[[Path], object] | None,
    advice: str,
) -> Source:
    """The set in root, or in root/folder/raw (torchvision's layout), all of it in memory, 1 channel.

    download: fetches the set to torchvision's layout in root if it is not there. Raises DataError if it is missing
    (the message ends with advice), or if a file is corrupt.
    """
    base = Path(root).expanduser()
    places = [base, base / folder / "raw"]
    place = _find(places)
    if place is None and download:
        try:
            download(base)
        except (OSError, RuntimeError) as error:
            raise DataError(f"{base}: the download failed: {' '.join(str(error).split())}") from error
        place = _find(places)
    if place is None:
        looked = " or ".join(str(each) for each in places)
        raise DataError(f"There is no {_FIRST_FILE} (raw or .gz) in {looked}. {advice}")
    parts = {"train": _part(place, "train", classes), "test": _part(place, "t10k", classes)}
    return assemble(classes, parts, wishes, size=square(max(parts["train"].shape[1:])))


def read_idx(path: Path) -> Tensor:
    """The array of an IDX file of unsigned bytes (yann.lecun.com/exdb/mnist), gzipped or not.

    Raises DataError if it is no such file, or not of the length that its header says.
    """
    try:
        with _opened(path) as file:
            start = file.read(4)
            dims = start[3] if start[:3] == bytes([0, 0, _UNSIGNED_BYTES]) and len(start) == 4 else 0
            if not 1 <= dims <= _MOST_DIMS:
                found = start.hex() or "nothing"
                raise DataError(
                    f"{path}: not an IDX file of unsigned bytes in 1 to 3 dimensions (it starts with {found})."
                )
            header = file.read(4 * dims)
            shape = [int.from_bytes(header[at : at + 4], "big") for at in range(0, 4 * dims, 4)]
            expected = math.prod(shape)
            pixels = _at_most(file, min(expected, _MOST_BYTES) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Delete it and fetch it again.") from error
    if not expected or len(pixels) != expected:
        size = f"{'at least ' * (len(pixels) > expected)}{len(pixels):,}"
        raise DataError(f"{path}: {size} bytes of data where its header says {expected:,}. Fetch it again.")
    return torch.frombuffer(pixels, dtype=torch.uint8).view(shape)


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():  # a FIFO would be waited for without end
        raise DataError(f"{path}: not a file. Delete it and fetch it again.")
    if is_lfs_pointer(path):
        raise DataError(f"{path}: {LFS_POINTER}.")
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _at_most(file: BinaryIO, count: int) -> bytearray:
    """So many bytes, or what there is: memory is taken for what was read, not for what a header claims."""
    content = bytearray()
    while len(content) < count and (piece := file.read(min(_PIECE, count - len(content)))):
        content += piece
    return content


def _find(places: list[Path]) -> Path | None:
    return next((place for place in places if _file(place, _FIRST_FILE).exists()), None)


def _file(place: Path, name: str) -> Path:
    raw = place / name
    return raw if raw.exists() else place / f"{name}.gz"


def _part(place: Path, part: str, classes: tuple[str, ...]) -> ArraySamples:
    images_path, labels_path = _file(place, f"{part}-images-idx3-ubyte"), _file(place, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels) or not len(labels):
        raise DataError(
            f"{images_path}: shape {list(images.shape)} does not fit {list(labels.shape)} of {labels_path}."
        )
    if int(labels.max()) >= len(classes):
        raise DataError(
            f"{labels_path}: image {int(labels.argmax())} has the label {int(labels.max())}, but with {len(classes)} "
            f"classes a label is 0 to {len(classes) - 1}. Fetch the file again, or choose the data=NAME that fits it."
        )
    return ArraySamples(images[:, None], labels.long(), [f"{index:05d}" for index in range(len(labels))])
