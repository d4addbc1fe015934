"""Sets as the package datasets reads them: Parquet files, class folders, a set saved to disk, or one of the hub."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from trainer.data.arrow import extents_of
from trainer.data.assemble import Wishes
from trainer.data.extents import Extents, about
from trainer.data.files import Label, Look, names
from trainer.data.keep import Keep
from trainer.data.packed import Bundle, packed_source
from trainer.data.part_names import most_plain, parts_of
from trainer.data.row_streams import PassingRows
from trainer.data.several import Several
from trainer.data.source import Source
from trainer.errors import ConfigError, DataError, did_you_mean, first_line
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
from trainer.system.cache_folder import ARROW, SHARDS

_PARTS = ("train", "val", "test")
_ON_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_IMAGES = ("image", "img", "picture", "jpg", "png")
_LABELS = ("label", "labels", "class", "category", "target", "cls")


@DATA.register
def hf(
    *,
    root: str,
    subset: str | None = None,
    revision: str | None = None,
    parts: Literal["auto"] | dict[str, str] = "auto",
    image: str | None = None,
    label: str | None = None,
    labels: Literal["one", "several"] | None = None,
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
    """A set that the package datasets reads: a folder of Parquet files or pictures, one saved to disk, or of the hub.

    root: where it lies; else its name on the hub, OWNER/NAME, from where it is fetched once. Parquet is written as
    Arrow into the cache folder, once; no picture is decoded by the package. Splits are parts by their names. Needs the
    extra: pip install 'trainer[hf]'. Raises ConfigError if it is missing; DataError if there is no such set, or no such
    column, and as packed.packed_source does.
    """
    package, keep = _package(), Keep(cache, cache_dir, cache_limit)
    base = Path(root).expanduser()
    splits = _opened(package, root, subset, revision, None if streaming else keep.folder / ARROW)
    chosen, notes = _parts(root, splits, parts)
    features = splits[chosen.get("train", next(iter(chosen.values())))].features
    if features is None:
        raise DataError(f"data.root: a stream of {root} does not tell its columns. Leave data.streaming out.")
    picture = _column(root, features, "image", image, _images(package, features), _IMAGES)
    told = _column(root, features, "label", label, _labels(package, features), _LABELS)
    if group is not None:
        _column(root, features, "group", group, (), ())
    for split in chosen.values():
        for what, column in (("image", picture), ("label", told)):
            _column(f"the split {split} of {root}", splits[split].features or features, what, column, (), ())
    known = _known(features[told])
    files = _files(base) if streaming else []
    way = PassingRows(package, picture, told, (root, subset, revision, files), keep.folder / SHARDS, buffer, interleave)
    bundles: dict[str, Bundle] = {}
    for part, split in chosen.items():
        rows = splits[split]
        keys, cells, extents = way.found(split, rows) if streaming else _located(base, split, rows, picture, told)
        groups = None if group is None else _groups(root, rows, group)
        bundles[part] = Bundle(base, keys, _labels_in(cells, known, labels == "several"), extents, groups)
    import_module("pyarrow").default_memory_pool().release_unused()  # what writing Arrow took, it would keep
    look = Look(size, prepare, grey, resize, fit, crop_share, on_error)
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    return packed_source(bundles, look, wishes, keep, known=known, notes=notes)


def _files(base: Path) -> list[Any]:
    """What tells the files in the folder, or of the pattern, from others in their place; nothing of the hub's."""
    if base.exists():
        return [about(path) for path in sorted(base.rglob("*")) or [base]]
    return [about(path) for path in sorted(Path(base.anchor).glob(str(base.relative_to(base.anchor))))]


@dataclass(frozen=True)
class Rows(Sequence[str]):
    """Names of the rows of a split, written when they are asked for: as strings, millions would fill the memory."""

    split: str
    total: int

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.total:
            raise IndexError(index)
        return f"{self.split}/{index:07d}"

    def __len__(self) -> int:
        return self.total


def _opened(
    package: ModuleType, root: str, subset: str | None, revision: str | None, cache: Path | None
) -> Mapping[str, Any]:
    """The splits by their names; cache: where Parquet becomes Arrow, None: it is streamed. Raises DataError."""
    base = Path(root).expanduser()
    if not base.exists() and "*" not in root and not _ON_HUB.fullmatch(root):
        raise DataError(
            f"data.root: there is no {base} (looked from {Path.cwd()}). Give a folder, a Parquet file, or OWNER/NAME "
            "of the hub."
        )
    if not sys.stderr.isatty():
        package.disable_progress_bars()
    package.logging.set_verbosity(package.logging.CRITICAL)  # what is wrong is told in our words
    how = {"streaming": True} if cache is None else {"cache_dir": str(cache), "keep_in_memory": False}
    try:
        if (base / "dataset_dict.json").is_file() or (base / "state.json").is_file():
            if cache is None:
                raise DataError("what save_to_disk wrote is read in any order anyway: leave data.streaming out")
            found = package.load_from_disk(str(base))
        elif base.is_dir() or not (base.exists() or "*" in root):
            place = str(base.absolute()) if base.is_dir() else root
            once = package.DownloadConfig(max_retries=1)
            found = package.load_dataset(place, subset, revision=revision, download_config=once, **how)
        else:
            found = package.load_dataset("parquet", data_files=str(base), **how)
    except Exception as error:  # each format raises whatever its files lead it to
        where = "" if base.exists() or "*" in root else " is no folder or file here, and the hub does not give it"
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise DataError(f"data.root: {root}{where}: {first_line(cause).rstrip('.')}.") from error
    return found if isinstance(found, Mapping) else {"train": found}


def _parts(root: str, splits: Mapping[str, Any], said: str | Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The split of each part, by name or as said; and a line on those that are left out."""
    chosen = _by_name(root, splits) if isinstance(said, str) else dict(said)
    for kind, words, known in (("part", chosen, _PARTS), ("split", chosen.values(), splits)):
        if unknown := [word for word in words if word not in known]:
            hint = did_you_mean(unknown[0], known)
            raise ConfigError(f"data.parts: there is no {kind} '{unknown[0]}'.{hint} There is {', '.join(known)}.")
    if not chosen:
        raise ConfigError("data.parts: it says no part. Say which split is which: data.parts='{train: SPLIT}'")
    rest = [split for split in splits if split not in chosen.values()]
    return chosen, [f"{root}: left out the splits {names(rest)}; data.parts says which are used."] if rest else []


def _by_name(root: str, splits: Mapping[str, Any]) -> dict[str, str]:
    """The split of each part, by what their names say; the only one is for training, whatever its name."""
    said = parts_of(splits) or dict.fromkeys(splits if len(splits) == 1 else (), "train")
    chosen: dict[str, str] = {}
    for part in _PARTS:
        found = most_plain([split for split in splits if said.get(split) == part])
        if len(found) > 1:
            example = f"{part}: {found[0]}, …"
            raise DataError(
                f"data.root: {root} has several splits for the {part} part, {names(found)}. Say which: "
                f"data.parts='{{{example}}}'"
            )
        chosen.update(zip([part], found, strict=False))
    if not chosen:
        example = f"train: {next(iter(splits))}, …"
        raise DataError(
            f"data.root: no split of {root} is called train: it has {names(splits)}. Say which is: "
            f"data.parts='{{{example}}}'"
        )
    return chosen


def _images(package: ModuleType, features: Mapping[str, Any]) -> list[str]:
    """The columns of pictures."""
    return [name for name, feature in features.items() if isinstance(feature, package.Image)]


def _labels(package: ModuleType, features: Mapping[str, Any]) -> list[str]:
    """The columns of classes with names; of a list of these, too."""
    return [
        name
        for name, feature in features.items()
        if isinstance(getattr(feature, "feature", feature), package.ClassLabel)
    ]


def _column(
    root: str, features: Mapping[str, Any], what: str, said: str | None, fitting: Sequence[str], usual: Sequence[str]
) -> str:
    """The column that is said; else the only one of its kind, or the one of the usual names. Raises DataError."""
    has = f"{root} has the columns {names(features)}"
    if said is not None:
        if said not in features:
            raise DataError(f"data.{what}: there is no column '{said}'.{did_you_mean(said, features)} {has}.")
        return said
    found = [name for name in fitting or features if name in usual or len(fitting) == 1]
    if len(found) != 1:
        raise DataError(f"data.{what}: which column is it? {has}. Say data.{what}=COLUMN")
    return found[0]


def _located(base: Path, split: str, rows: Any, image: str, label: str) -> tuple[Sequence[str], list[Any], Extents]:
    """The names of a split's rows, their labels, and where their pictures lie."""
    extents, paths = extents_of([Path(each["filename"]) for each in rows.cache_files], image)
    told = _cells(rows, label)
    if paths and all(Path(path).is_relative_to(base.absolute()) for path in paths):
        return [str(Path(path).relative_to(base.absolute())) for path in paths], told, extents
    return Rows(split, len(rows)), told, extents


def _labels_in(cells: Sequence[Any], known: Sequence[str] | None, several: bool) -> list[Label]:
    """What the cells of labels say."""
    if not several and any(isinstance(each, list) for each in cells):
        raise ConfigError("data.label: the column holds lists. Several labels a picture are learnt with task=multi.")
    label_of: dict[Any, Label] = {}
    labels: list[Label] = []
    for each in cells:
        value = tuple(each) if isinstance(each, list) else each
        if isinstance(each, dict) or (isinstance(each, list) and any(isinstance(one, dict | list) for one in each)):
            raise ConfigError("data.label: the column holds no names, numbers or lists of these. Say another one.")
        if value not in label_of:
            label_of[value] = _label(value, known, several)
        labels.append(label_of[value])
    return labels


def _groups(root: str, rows: Any, column: str) -> list[str]:
    """What each row belongs to."""
    if not hasattr(rows, "cache_files"):
        raise ConfigError("data.group: it cannot act with data.streaming=true. Leave one of them out.")
    cells = _cells(rows, column)
    if None in cells or "" in cells:
        raise DataError(f"data.group: {root} has rows without a {column}. Fill it in.")
    return list(map(str, cells))


def _cells(rows: Any, column: str) -> list[Any]:
    """A column of a split, and nothing else of it."""
    found: list[Any] = rows.select_columns([column]).with_format("arrow")[:].column(0).to_pylist()
    return found


def _known(feature: Any) -> list[str] | None:
    """The names of the classes, where the column has them; None where its values are the names."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _label(value: Any, known: Sequence[str] | None, several: bool) -> Label:
    """What a cell says. Of named classes -1 is none, as sets have it whose answers are not published."""
    if value is None or (known and value == -1):
        return None
    words = [known[each] if known else str(each) for each in (value if isinstance(value, tuple) else (value,))]
    return Several(frozenset(words)) if several else words[0]


def _package() -> ModuleType:
    try:
        return import_module("datasets")
    except ImportError as error:
        raise ConfigError(
            "data 'hf': the package datasets is not installed. Install it: pip install 'trainer[hf]'."
        ) from error
