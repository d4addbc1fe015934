"""Packed copies: decoded once into one file of raw pixels, which later runs map into memory instead of decoding."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from trainer.data.source import Samples
from trainer.errors import DataError

_BLOCK = 2**24


def pack_folder() -> Path:
    """Where packed copies are kept: trainer/ in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "trainer"


def packed(samples: Samples, fill: Callable[[Tensor], None]) -> Tensor:
    """uint8 (N, C, H, W), mapped from the samples' packed copy; fill decodes them into the tensor it is given.

    A copy is used as long as names, labels and files are what they were; it appears under its name when it is whole.
    Raises DataError if it cannot be written.
    """
    shape = (len(samples), *samples.shape)
    num_bytes = torch.Size(shape).numel()
    path = pack_folder() / f"{_name(samples)}.pixels"
    if not (path.exists() and path.stat().st_size == num_bytes):
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            _reserve(temporary, num_bytes)
            pixels = _mapped(temporary, num_bytes, shared=True)
            fill(pixels.view(shape))
            del pixels
            _sync(temporary)
            temporary.replace(path)
        except OSError as error:
            raise DataError(
                f"{path}: {num_bytes / 2**20:,.0f} MiB of decoded images cannot be written ({error.strerror}). "
                "Make room, set XDG_CACHE_HOME, or use data.cache=none."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    return _mapped(path, num_bytes, shared=False).view(shape)


def _name(samples: Samples) -> str:
    keys = "\0".join(samples.keys).encode(errors="surrogateescape")
    material = [repr(samples.shape).encode(), samples.version(), keys]
    return hashlib.sha256(b"\0".join(material)).hexdigest()[:32]


def _reserve(path: Path, num_bytes: int) -> None:
    """A file of this size whose blocks are there: writing to a mapped file on a full disk would kill the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, num_bytes, _BLOCK):
            file.write(bytes(min(_BLOCK, num_bytes - start)))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _mapped(path: Path, num_bytes: int, *, shared: bool) -> Tensor:
    return torch.from_file(str(path), shared=shared, size=num_bytes, dtype=torch.uint8)
