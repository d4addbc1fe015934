"""A table of files and labels: CSV or TSV, with a column that says the part if you like."""

import csv
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.assemble import Wishes
from trainer.data.files import File, Files, Look, file_source, names
from trainer.data.folder import PARTS
from trainer.data.keep import Keep
from trainer.data.source import Source
from trainer.errors import DataError, did_you_mean
from trainer.registry import DATA
from trainer.schema import Cache, Count, Denoise, Fit, Folds, Normalise, Positive, Resize, Validation, Whole

_MOST_BYTES = 2**28


@DATA.register
def table(
    *,
    file: str,
    root: str | None = None,
    path: str = "path",
    label: str = "label",
    split: str = "split",
    ignore: str | None = None,
    size: Count | None = None,
    prepare: Count | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "mean_std",
    val: Validation = 0.1,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images as a CSV or TSV table lists them: a path and a label a row, and a part if there is a column.

    Paths start at root, or at the table's folder where root is None. Raises DataError with the row if the table has
    not these columns, lists a file with two labels or in two parts, a file that is not there, or, to validate or test
    on, a label that no training row has.
    """
    source = Path(file).expanduser()
    base = Path(root).expanduser() if root else source.parent
    rows, notes = _distinct(list(_rows(source, path, label, split)), base, source)
    parts = _parts(rows, base, source, ignore)
    _check_parts(parts, source, ignore, least=1 if val == "none" else 2)
    look = Look(size, prepare, grey, resize, fit, on_error)
    wishes = Wishes(val, folds, fold, normalise, denoise)
    return file_source(parts["train"].classes, parts, look, wishes, Keep(cache, cache_dir, cache_limit), notes)


@dataclass(frozen=True)
class _Row:
    """One image of the table; number: its line."""

    number: int
    key: str
    label: str
    part: str


def _rows(source: Path, path: str, label: str, split: str) -> Iterator[_Row]:
    try:
        about = source.stat()
        if not stat.S_ISREG(about.st_mode):  # a FIFO would be waited for without end
            raise DataError(f"data.file: {source} is not a file.")
        if about.st_size > _MOST_BYTES:
            raise DataError(f"data.file: {source} has more than {_MOST_BYTES >> 20} MiB. Is it a table of paths?")
        with source.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            lines.seek(0)
            reader = csv.DictReader(lines, delimiter="\t" if "\t" in first else ",", strict=True)
            has_split = _check_columns(source, reader.fieldnames or [], path, label, split)
            for row in reader:
                yield _row(source, reader.line_num, row, path, label, split if has_split else None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"data.file: {source} cannot be read as a table ({reason}).") from error


def _check_columns(source: Path, columns: object, path: str, label: str, split: str) -> bool:
    """Whether there is a column of parts."""
    found = [str(each) for each in columns] if isinstance(columns, list | tuple) else []
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise DataError(f"data.file: {source} has several columns of one name: {names(twice)}. Rename all but one.")
    for option, name in (("path", path), ("label", label)):
        if name not in found:
            raise DataError(
                f"data.file: {source} has no column '{name}'.{did_you_mean(name, found)} Its first line names "
                f"{names(found) or 'nothing'}. Say which holds the {option}: data.{option}=COLUMN"
            )
    if split != "split" and split not in found:
        raise DataError(f"data.file: {source} has no column '{split}' (data.split).{did_you_mean(split, found)}")
    return split in found


def _row(source: Path, number: int, row: dict[str, str], path: str, label: str, split: str | None) -> _Row:
    where = f"{source}, line {number}"
    if None in row or None in row.values():
        raise DataError(f"{where}: not as many fields as the first line has. A comma in a name wants quotes.")
    if not row[path] or not row[label].strip():
        raise DataError(f"{where}: the {'path' if not row[path] else 'label'} is empty.")
    word = "train" if split is None else row[split]
    part = PARTS.get(word.strip().lower())
    if part is None:
        hint = did_you_mean(word, PARTS)
        raise DataError(f"{where}: '{word}' is no part of a set.{hint} There is train, val and test.")
    return _Row(number, os.path.normpath(row[path]), row[label].strip(), part)


def _distinct(rows: list[_Row], base: Path, source: Path) -> tuple[list[_Row], list[str]]:
    """The rows without those that say the same again of a file, however they write its path; and the note on these."""
    first: dict[str, _Row] = {}
    for row in rows:
        before = first.setdefault(os.path.realpath(base / row.key.replace("\0", "")), row)
        for what, old, new in (("labels", before.label, row.label), ("parts", before.part, row.part)):
            if old != new:
                raise DataError(
                    f"{source}: {row.key} is listed with two {what}, {old} in line {before.number} and {new} in line "
                    f"{row.number}. Remove one."
                )
    again = len(rows) - len(first)
    return list(first.values()), [f"{source}: left out {again} rows that say what another says."] if again else []


def _parts(rows: list[_Row], base: Path, source: Path, ignore: str | None) -> dict[str, Files]:
    """The files of each part, with the classes that their rows name."""
    parts: dict[str, Files] = {}
    absent: list[str] = []
    for row in sorted(rows, key=lambda row: row.key):
        about = _about(base / row.key)
        if about is None:
            absent.append(f"{row.key} (line {row.number})")
            continue
        label = None if row.label == ignore else row.label
        file = File(label, row.key, about.st_size, about.st_mtime_ns)
        parts.setdefault(row.part, Files(base, ())).images.append(file)
    if absent:
        raise DataError(
            f"{source}: {len(absent)} of {len(rows)} files are not there, below {base}: {names(absent)}. "
            "Say where the paths start: data.root=FOLDER"
        )
    for files in parts.values():
        files.classes = tuple(sorted({image.label for image in files.images if image.label is not None}))
    return parts


def _about(path: Path) -> os.stat_result | None:
    try:
        about = path.stat()
    except (OSError, ValueError):  # ValueError: no path has a NUL in it
        return None
    return about if stat.S_ISREG(about.st_mode) else None


def _check_parts(parts: dict[str, Files], source: Path, ignore: str | None, least: int) -> None:
    """least: how many classes there must be: two to train on."""
    if "train" not in parts:
        raise DataError(f"{source}: no row is of the training part. Some must say train.")
    classes = parts["train"].classes
    if len(classes) < least:
        raise DataError(f"{source}: the training rows have {len(classes)} labels, {names(classes)}. Two are needed.")
    for part, files in parts.items():
        if unknown := [label for label in files.classes if label not in classes]:
            raise DataError(
                f"{source}: the {part} rows have labels that no training row has: {names(unknown)}."
                f"{did_you_mean(unknown[0], classes)} Mend them, or add such rows to the training part."
            )
    if ignore is not None and all(image.label is not None for files in parts.values() for image in files.images):
        hint = did_you_mean(ignore, classes)
        raise DataError(f"data.ignore={ignore}: no row of {source} has this label.{hint} Leave data.ignore out.")
