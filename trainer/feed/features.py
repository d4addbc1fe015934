"""Features of images on disk: what a frozen body has made of them, kept for every run that has the same body."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.system.kept_array import read_array, write_array

_SUFFIX = ".features"
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
    return read_array(path)


def write_features(path: Path, features: Features) -> None:
    """Keeps them. Raises OSError if the disk does not take them."""
    write_array(path, features)
