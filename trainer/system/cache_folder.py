"""Where this user keeps what can be made again: decoded images, compiled kernels, exported networks, archives."""

import os
import tempfile
from pathlib import Path

SHARDS = "shards"
"""Of a cache folder: what lies where in tar shards and streams."""
ARROW = "arrow"
"""Of a cache folder: what Parquet files were written as."""


def default_folder() -> Path:
    """trainer/ in the user's cache folder; in the system's folder for temporary files where there is no home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "trainer"
    except RuntimeError:  # this user has no home
        return Path(tempfile.gettempdir()) / "trainer"


def engines() -> Path:
    """Where networks that were exported for another engine are kept."""
    return default_folder() / "engines"
