"""An array in a file of its own, which says whether it is still as it was written."""

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.system import durable

_SHA256 = 32


def read_array(path: Path) -> NDArray[Any] | None:
    """What was written; None where there is nothing, or it is not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, array = content[:_SHA256], memoryview(content)[_SHA256:]
    if hashlib.sha256(array).digest() != checksum:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # `cache` tells when it was used last
    found: NDArray[Any] = np.load(io.BytesIO(array), allow_pickle=False)
    return found


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Keeps it: the sha256 of what follows, and a .npy. Raises OSError if the disk does not take it."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.replace(path, hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())
