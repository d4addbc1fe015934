"""files.json.gz: the files of the data set, by which a resumed run can say what was changed in it."""

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from trainer.records.folder import cannot_write
from trainer.system import durable


def write_files(path: Path, files: Mapping[str, str]) -> None:
    """Stores name -> class and length. A set without files leaves no file. Raises OutputError."""
    if not files:
        return
    try:
        durable.replace(path, gzip.compress(json.dumps(files).encode(), compresslevel=1, mtime=0))
    except OSError as error:
        raise cannot_write(path, error) from error


def read_files(path: Path) -> dict[str, str] | None:
    """What write_files stored; None if that is missing or damaged: nothing but a message depends on it."""
    try:
        files = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return None
    return {str(name): str(about) for name, about in files.items()} if isinstance(files, dict) else None
