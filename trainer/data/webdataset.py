"""Tar shards as the package webdataset reads and writes them: a picture and its label side by side in each sample."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.data.assemble import Wishes
from trainer.data.extents import Extents
from trainer.data.files import Label, Look, names
from trainer.data.keep import Keep
from trainer.data.packed import Bundle, packed_source
from trainer.data.part_names import parts_of, without_part
from trainer.data.several import Several
from trainer.data.shards import FOLDER, Asked, Split, contents, index_of
from trainer.data.source import Source
from trainer.errors import ConfigError, DataError, did_you_mean
from trainer.registry import DATA
from trainer.schema import (
    Cache,
    Denoise,
    Fit,
    Folds,
    Level,
    Normalise,
    Pixels,
    Positive,
    Resize,
    UpToOne,
    Validation,
    Whole,
)

_CLASSES = "classes.txt"
_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")


@DATA.register
def webdataset(
    *,
    root: str,
    image: str | None = None,
    label: str | None = None,
    labels: Literal["one", "several"] | None = None,
    classes: list[str] | str | None = None,
    size: Pixels | None = None,
    prepare: Pixels | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    crop_share: UpToOne | None = None,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images in tar shards (WebDataset): each sample is files of one name, such as 0001.jpg and 0001.cls.

    root: a folder of shards, or a pattern of their names, with braces or stars. A shard whose name, or whose folder's,
    says train, val or test is of that part; where none says one, all are for training. Needs the extra: pip install
    'trainer[webdataset]'. Raises ConfigError if it is missing; DataError with the shard that is missing, broken or cut
    short, and as packed.packed_source does.
    """
    package, keep = _package(), Keep(cache, cache_dir, cache_limit)
    shards = _shards(root, package)
    base = Path(os.path.commonpath([shard.parent for shard in shards]))
    asked, split = Asked(image, label), package.tariterators.base_plus_ext
    named = _names(base, classes)
    parts: dict[str, Bundle] = {}
    for part, of_part in _parts(base, shards).items():
        rows = [index_of(shard, asked, split, keep.folder / FOLDER) for shard in of_part]
        parts[part] = _bundle(base, of_part, rows, named, labels == "several")
        _check_found(parts[part], of_part[0], split, part)
    look = Look(size, prepare, grey, resize, fit, crop_share, on_error)
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    return packed_source(parts, look, wishes, keep, known=named)


def _check_found(bundle: Bundle, shard: Path, split: Split, part: str) -> None:
    """Raises DataError where a part has no picture at all, or training no label: then something else was to be said."""
    for what, how, is_missing in (
        ("picture", "data.image=ENDING", not bundle.extents.size.any()),
        ("label", "data.label=ENDING, or json.FIELD", part == "train" and not bundle.is_labelled),
    ):
        if is_missing:
            raise DataError(
                f"{shard}: no sample of the {part} part has a {what}. The first one is {contents(shard, split)}. Say "
                f"which it is: {how}"
            )


@dataclass(frozen=True)
class Names(Sequence[str]):
    """Names of pictures in shards, put together when they are asked for: as strings, millions would fill the memory."""

    shards: Sequence[str]
    shard: NDArray[np.int32]
    names: NDArray[np.bytes_]

    def __getitem__(self, index: Any) -> Any:
        return f"{self.shards[self.shard[index]]}/{self.names[index].decode()}"

    def __len__(self) -> int:
        return len(self.names)


def _shards(root: str, package: ModuleType) -> list[Path]:
    """The shards that root means, in order. Raises DataError if there are none, or if one is not there."""
    base = Path(root).expanduser()
    if base.is_dir():
        found = [path for path in sorted(base.rglob("*.tar")) if not path.name.startswith(".")]
        if not found:
            raise DataError(f"data.root: no shards (*.tar) lie below {base}.{_packed_otherwise(base.iterdir())}")
        return found
    named = [Path(each).expanduser() for each in package.shardlists.expand_urls(root)]
    shards = [shard for path in named for shard in _matching(path)]
    missing = [shard for shard in shards if not os.access(shard, os.R_OK)]
    if missing:
        count = f"{len(missing)} of {len(shards)} shards are" if len(shards) > 1 else "the shard is"
        raise DataError(f"data.root: {count} not there: {names(map(str, missing))} (looked from {Path.cwd()}).")
    if odd := _packed_otherwise(shards):
        raise DataError(f"data.root: {shards[0]} is no plain tar.{odd}")
    return shards


def _matching(path: Path) -> list[Path]:
    """The files that a pattern with stars matches; the path itself where none does, or it is none."""
    if os.access(path, os.F_OK):
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))) or [path]


def _packed_otherwise(paths: Iterable[Path]) -> str:
    """A sentence on shards that are compressed, where some of the paths are: in these no picture is read by itself."""
    found = [path.name for path in paths if path.name.lower().endswith(_COMPRESSED)]
    return (
        f" {names(found)}: unpack what is around each .tar, with gunzip for .gz; pictures gain nothing by it."
        if found
        else ""
    )


def _parts(base: Path, shards: Sequence[Path]) -> dict[str, list[Path]]:
    """The shards of each part, by what their names say, or else the names of the folders that they lie in."""
    said = [_part_said([re.sub(r"[\W_]*\d+$", "", shard.stem) for shard in shards])]
    said.append(_part_said([shard.parent.name if shard.parent != base else "" for shard in shards]))
    parts: dict[str, list[Path]] = {}
    for shard, of_name, of_folder in zip(shards, *said, strict=True):
        parts.setdefault(of_name or of_folder or "train", []).append(shard)
    return parts


def _part_said(words: Sequence[str]) -> list[str | None]:
    """Of each name the part that it says, as 'imagenet-train' does."""
    whole = parts_of(set(words))
    return [whole.get(word) or (found[1] if (found := without_part(word)) else None) for word in words]


def _names(base: Path, classes: list[str] | str | None) -> list[str] | None:
    """The classes in the order of their numbers: those said, or the lines of a file; None: nothing says them."""
    if isinstance(classes, list):
        return classes
    path = base / _CLASSES if classes is None else Path(classes).expanduser()
    if classes is None and not path.is_file():
        return None
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise DataError(
            f"data.classes: {path} cannot be read ({reason}). It has the name of a class in each line."
        ) from error


def _bundle(
    base: Path, shards: Sequence[Path], rows: Sequence[NDArray[Any]], named: Sequence[str] | None, several: bool
) -> Bundle:
    """The samples of one part."""
    shard = np.repeat(np.arange(len(shards), dtype=np.int32), [len(each) for each in rows])
    offset, size, name = (np.concatenate([each[column] for each in rows]) for column in ("offset", "size", "name"))
    keys = Names([str(path.relative_to(base)) for path in shards], shard, name)
    label_of: dict[bytes, Label] = {}
    labels: list[Label] = []
    for text in (text for each in rows for text in each["label"].tolist()):
        if text not in label_of:
            label_of[text] = _label(text, named, several, f"{base}/{keys[len(labels)]}")
        labels.append(label_of[text])
    return Bundle(base, keys, labels, Extents(shards, shard, offset, size))


def _label(text: bytes, named: Sequence[str] | None, several: bool, where: str) -> Label:
    """What a sample's label says, as shards.index_of has it. where: a sample that has it."""
    told = json.loads(text) if text else None
    if isinstance(told, list) and not several:
        raise ConfigError(f"{where}: its label is a list. Several labels a picture are learnt with task=multi.")
    if told is None:
        return None
    words = [_class(word, named, where) for word in (told if isinstance(told, list) else [told])]
    return Several(frozenset(words)) if several else words[0]


def _class(word: str, named: Sequence[str] | None, where: str) -> str:
    """The name of a class that is told by its number, or by itself."""
    if named is None or word in named:
        return word
    if word.isascii() and word.isdigit() and int(word) < len(named):
        return named[int(word)]
    raise DataError(
        f"{where}: the label {word} is no class.{did_you_mean(word, named)} There are {len(named)} of them, the first "
        f"is number 0: {names(named)}."
    )


def _package() -> ModuleType:
    try:
        import_module("webdataset.tariterators")
        return import_module("webdataset")
    except ImportError as error:
        raise ConfigError(
            "data 'webdataset': the package webdataset is not installed. Install it: pip install 'trainer[webdataset]'."
        ) from error
