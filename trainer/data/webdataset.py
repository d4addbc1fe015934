"""Tar shards as the package webdataset reads and writes them: a picture and its label side by side in each sample."""

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import takewhile
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Literal

import numpy as np

from trainer.data.assemble import Wishes
from trainer.data.extents import Extents, Names
from trainer.data.files import Label, Look, names
from trainer.data.group_pattern import groups_in
from trainer.data.keep import Keep
from trainer.data.packed import Bundle, packed_source
from trainer.data.part_names import parts_of, without_part
from trainer.data.passing import Passing
from trainer.data.several import Several
from trainer.data.shards import Asked, Rows, ShardsOnDisk
from trainer.data.source import Source
from trainer.data.tar_streams import COMMAND, PassingShards
from trainer.errors import ConfigError, DataError, did_you_mean
from trainer.registry import DATA
from trainer.schema import (
    Cache,
    Count,
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
from trainer.system.cache_folder import SHARDS

_CLASSES = "classes.txt"
_DISTANT = re.compile(rf"[\w+]+://|{COMMAND}")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")


@DATA.register
def webdataset(
    *,
    root: str,
    image: str | None = None,
    label: str | None = None,
    labels: Literal["one", "several"] | None = None,
    classes: list[str] | str | None = None,
    streaming: bool = False,
    buffer: Count = 1000,
    interleave: Count = 8,
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
    group: str | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images in tar shards (WebDataset): each sample is files of one name, such as 0001.jpg and 0001.cls.

    root: a folder of shards, or a pattern of their names, with braces or stars. A shard whose name, or whose folder's,
    says train, val or test is of that part; where none says one, all are for training. group: group_pattern, in the
    names of shard and sample. Needs the extra: pip install
    'trainer[webdataset]'. Raises ConfigError if it is missing; DataError with the shard that is missing, broken or cut
    short, and as packed.packed_source does.
    """
    package, keep = _package(), Keep(cache, cache_dir, cache_limit)
    shards = _shards(root, package, streaming)
    asked, kept = Asked(image, label), keep.folder / SHARDS
    way: ShardsOnDisk | PassingShards = ShardsOnDisk(package.tariterators.base_plus_ext, asked, kept)
    if streaming:
        way = PassingShards(package, asked, kept, buffer, interleave)
    base = _around(shards)
    named = _names(Path(base), classes)
    parts: dict[str, Bundle] = {}
    for part, of_part in _parts(base, shards).items():
        rows, extents = way.found(of_part)
        parts[part] = _bundle(base, of_part, rows, extents, named, labels == "several")
        _check_found(parts[part], part, partial(way.contents, of_part[0]), of_part[0])
    if group is not None:
        found = groups_in([bundle.keys for bundle in parts.values()], group)
        parts = {part: replace(parts[part], groups=groups) for part, groups in zip(parts, found, strict=True)}
    look = Look(size, prepare, grey, resize, fit, crop_share, on_error)
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    return packed_source(parts, look, wishes, keep, known=named)


def _check_found(bundle: Bundle, part: str, contents: Callable[[], str], shard: str) -> None:
    """Raises DataError where a part has no picture at all, or training no label: then something else was to be said."""
    for what, how, is_missing in (
        ("picture", "data.image=ENDING", not bundle.extents.size.any()),
        ("label", "data.label=ENDING, or json.FIELD", part == "train" and not bundle.is_labelled),
    ):
        if is_missing:
            raise DataError(
                f"{shard}: no sample of the {part} part has a {what}. The first one is {contents()}. Say which it is: "
                f"{how}"
            )


def _shards(root: str, package: ModuleType, streaming: bool) -> list[str]:
    """The shards that root means, in order. Raises DataError if there are none, or if one is not there.

    streaming: whether they may be what is no file here.
    """
    base = Path(root).expanduser()
    if base.is_dir():
        found = [path for path in sorted(base.rglob("*.tar")) if not path.name.startswith(".")]
        if not found:
            raise DataError(f"data.root: no shards (*.tar) lie below {base}.{_packed_otherwise(base.iterdir())}")
        return list(map(str, found))
    places: list[str] = package.shardlists.expand_urls(root)
    if any(place.startswith(COMMAND) for place in places) and not root.startswith(COMMAND):
        raise DataError(f"data.root: {COMMAND} stands first, before all shards of the command.")
    if distant := [place for place in places if _DISTANT.match(place)]:
        if streaming and len(distant) == len(places):
            return places
        raise DataError(f"data.root: {distant[0]} is no file here: say data.streaming=true, and no files beside it.")
    shards = [shard for place in places for shard in _matching(Path(place).expanduser())]
    missing = [str(shard) for shard in shards if not os.access(shard, os.R_OK)]
    if missing:
        count = f"{len(missing)} of {len(shards)} shards are" if len(shards) > 1 else "the shard is"
        raise DataError(f"data.root: {count} not there: {names(missing)} (looked from {Path.cwd()}).")
    if not streaming and (odd := _packed_otherwise(shards)):
        raise DataError(f"data.root: {shards[0]} is no plain tar.{odd}")
    return list(map(str, shards))


def _around(shards: Sequence[str]) -> str:
    """The folder, or the address, that all of them lie below."""
    levels = zip(*(shard.split("/")[:-1] for shard in shards), strict=False)
    return "/".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))


def _below(base: str, shard: str) -> str:
    """The name of a shard below that."""
    return shard.removeprefix(base).lstrip("/")


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


def _parts(base: str, shards: Sequence[str]) -> dict[str, list[str]]:
    """The shards of each part, by what their names say, or else the names of the folders that they lie in."""
    paths = [PurePosixPath(_below(base, shard)) for shard in shards]
    of_names = _part_said([re.sub(r"[\W_]*\d+$", "", path.name.partition(".")[0]) for path in paths])
    of_folders = _part_said([path.parent.name for path in paths])
    parts: dict[str, list[str]] = {}
    for shard, of_name, of_folder in zip(shards, of_names, of_folders, strict=True):
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
        found = [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise DataError(
            f"data.classes: {path} cannot be read ({reason}). It has the name of a class in each line."
        ) from error
    if "" in found:  # left out, it would give those below it other numbers
        raise DataError(
            f"data.classes: {path}: line {found.index('') + 1} is empty, and each line is a class, from number 0 on. "
            "Take it away, or name the class."
        )
    return found


def _bundle(
    base: str,
    shards: Sequence[str],
    rows: Sequence[Rows],
    extents: Extents | Passing,
    named: Sequence[str] | None,
    several: bool,
) -> Bundle:
    """The samples of one part."""
    shard = np.repeat(np.arange(len(shards), dtype=np.int32), [len(each) for each in rows])
    keys = Names([_below(base, each) for each in shards], shard, np.concatenate([each["name"] for each in rows]))
    label_of: dict[bytes, Label] = {}
    labels: list[Label] = []
    for text in (text for each in rows for text in each["label"].tolist()):
        if text not in label_of:
            label_of[text] = _label(text, named, several, f"{base}/{keys[len(labels)]}")
        labels.append(label_of[text])
    return Bundle(Path(base), keys, labels, extents)


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
