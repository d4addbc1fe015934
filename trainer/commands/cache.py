"""cache: what is kept of images, features, kernels, exported networks, archives, shards; and how to be rid of it."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.data.archive import FOLDER as ARCHIVES
from trainer.errors import ConfigError, did_you_mean
from trainer.feed.cache import Stored, delete, gib, stores
from trainer.feed.features import features_folder, kept_features
from trainer.kernels import compiled
from trainer.system.cache_folder import ARROW, SHARDS, default_folder, engines

_UNITS = {"day": 86400, "hour": 3600, "minute": 60}


def run(words: Sequence[str]) -> int:
    """Lists what is kept, or with the word clear deletes it, but for stores that a run is using. Returns 0.

    Raises ConfigError for any word but clear and data.cache_dir=FOLDER.
    """
    folder, clear = default_folder(), False
    for word in words:
        key, _, value = word.partition("=")
        if word == "clear":
            clear = True
        elif key == "data.cache_dir" and value:
            folder = Path(value).expanduser()
        else:
            hint = did_you_mean(word, ("clear", "data.cache_dir"))
            raise ConfigError(f"cache: '{word}' says nothing here.{hint} It takes clear, and data.cache_dir=FOLDER.")
    _clear(folder) if clear else _list(folder)
    _tell_features(folder, clear)
    _tell_kernels(clear)
    _tell_engines(clear)
    _tell_shards(folder / SHARDS, clear)
    _tell_made(folder / ARCHIVES, "files out of archives")
    _tell_made(folder / ARROW, "files that Parquet was written as")
    return 0


def _list(folder: Path) -> None:
    kept = stores(folder)
    for store in reversed(kept):
        print(f"{gib(store.num_bytes):>9}  {_age(store):<22}  {_content(store)}")
    total = sum(store.num_bytes for store in kept)
    print(f"{folder}: {_count(kept)} of decoded images, {gib(total)} in all.")
    if kept:
        where = "" if folder == default_folder() else f" {shlex.quote(f'data.cache_dir={folder}')}"
        print(f"Delete them with: python -m trainer cache clear{where}. They are decoded again when they are needed.")


def _clear(folder: Path) -> None:
    kept = stores(folder)
    gone = [store for store in kept if delete(store.path)]
    print(f"{folder}: deleted {_count(gone)}, {gib(sum(store.num_bytes for store in gone))}.")
    if len(gone) < len(kept):
        print(f"In use by runs, and kept: {len(kept) - len(gone)}.")


def _tell_features(folder: Path, clear: bool) -> None:
    files = kept_features(folder)
    what = f"features that frozen networks gave, {len(files)} file{'s' * (len(files) > 1)}"
    _tell_files(files, features_folder(folder), what, "worked out again when a probe wants them", clear)


def _tell_kernels(clear: bool) -> None:
    """A run that has loaded them keeps what it has loaded."""
    libraries = list(compiled.folder().glob("*.so"))
    what = f"compiled kernels of {len(libraries)} version{'s' * (len(libraries) > 1)}"
    _tell_files(libraries, compiled.folder(), what, "compiled again in seconds", clear)


def _tell_engines(clear: bool) -> None:
    networks = list(engines().glob("*.onnx"))
    what = f"networks exported for ONNX Runtime, {len(networks)}"
    _tell_files(networks, engines(), what, "exported again when predict wants them", clear)


def _tell_files(files: Sequence[Path], folder: Path, what: str, again: str, clear: bool) -> None:
    """Says what files are kept, or deletes them."""
    size = gib(sum(path.stat().st_size for path in files))
    if clear:
        for path in files:
            path.unlink(missing_ok=True)
    if files:
        fate = "deleted" if clear else f"cache clear deletes them too. They are {again}"
        print(f"{folder}: {what}, {size}: {fate}.")


def _tell_shards(folder: Path, clear: bool) -> None:
    """A run that has read them keeps what it has read."""
    files = [path for path in folder.glob("*") if path.suffix in (".index", ".passed")]
    what = f"what lies where in {len(files)} shard{'s' * (len(files) > 1)}"
    _tell_files(files, folder, what, "found again when a run reads the shards", clear)


def _tell_made(folder: Path, what: str) -> None:
    """Says what was made of other files. What lies there bears no mark of the runs that read it, so it stays."""
    sizes = [path.lstat().st_size for path in folder.glob("*/**/*") if not path.is_dir()]
    if sizes:
        print(f"{folder}: {len(sizes):,} {what}, {gib(sum(sizes))}. Delete it when no run reads there.")


def _count(kept: Sequence[Stored]) -> str:
    return f"{len(kept)} store{'s' * (len(kept) != 1)}"


def _age(store: Stored) -> str:
    if store.in_use:
        return "in use"
    seconds = time.time() - store.used
    for unit, size in _UNITS.items():
        count = int(seconds // size)
        if count >= 1:
            return f"used {count} {unit}{'s' * (count > 1)} ago"
    return "used just now"


def _content(store: Stored) -> str:
    if store.path.suffix == ".tmp":
        return "being written"
    if store.header is None:
        return "damaged, or of another version: it will be built anew"
    header = store.header
    channels, height, width = header.shape
    return f"{header.count:,} images {width} x {height}, {'colour' if channels == 3 else 'grey'}: {header.title}"
