"""Features of images on disk: what a frozen body has made of them, kept for every run that has the same body."""

import contextlib
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.system import durable

_SUFFIX = ".features"
_SHA256 = 32
Features = NDArray[np.float32]


def features_folder(folder: Path) -> Path:
    """Where features are kept in a cache folder."""
    return folder / "features"


def kept_features(folder: Path) -> list[Path]:
    """All files of features in a cache folder."""
    return sorted(features_folder(folder).glob(f"*{_SUFFIX}"))


def path_of(folder: Path, what: Sequence[object]) -> Path:
    """The file for features that are decided by these: two that are written alike are the same."""
    name = hashlib.sha256(repr(list(what)).encode(errors="surrogateescape")).hexdigest()[:32]
    return features_folder(folder) / f"{name}{_SUFFIX}"


def read_features(path: Path) -> Features | None:
    """(N, D) float32; None where there are none, or they are not as they were written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, array = content[:_SHA256], memoryview(content)[_SHA256:]
    if hashlib.sha256(array).digest() != checksum:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # `cache` tells when they were used last
    features: Features = np.load(io.BytesIO(array), allow_pickle=False)
    return features


def write_features(path: Path, features: Features) -> None:
    """Keeps them: the sha256 of what follows, and a .npy. Raises OSError if the disk does not take them."""
    array = io.BytesIO()
    np.save(array, features, allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.replace(path, hashlib.sha256(array.getbuffer()).digest() + array.getbuffer())
