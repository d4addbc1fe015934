"""A table of files and labels, as people have them: which file is which, what is left out, and what is refused."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from trainer.data.assemble import Wishes
from trainer.data.columns import HOT, Columns, Table, choose, in_words, with_header
from trainer.data.files import File, Files, Look, file_source, names
from trainer.data.keep import Keep
from trainer.data.lookup import Lookup
from trainer.data.marks import marks
from trainer.data.numbers import refuse_numbers
from trainer.data.part_names import parts_of
from trainer.data.several import Cells, Several, check_separator, never_shown, not_asked_for, several_in_words
from trainer.data.sheet import Line, read_sheet
from trainer.data.source import Source
from trainer.errors import ConfigError, DataError, did_you_mean, told
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


@DATA.register
def table(
    *,
    file: str,
    root: str | None = None,
    path: str | None = None,
    ending: str | None = None,
    label: str | list[str] | None = None,
    split: str | None = None,
    ignore: str | None = None,
    labels: Literal["one", "several"] | None = None,
    separator: str | None = None,
    several_rows: bool = False,
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
    """Your own images as a table lists them: a path and a label a row, and a part if there is a column.

    Paths start at root, or at the table's folder where root is None, or in folders below if all lie there; they may
    lack their ending. labels 'several': a picture has those of a column for each, of one column in which something
    separates them, or of several rows. group: the column of what stays together. Raises DataError with the row if the
    table has not these columns, lists a file with two labels, in two parts or groups, a file that is not there, or, to
    validate or test on, a label that no training row has.
    """
    source = Path(file).expanduser()
    base = Path(root).expanduser() if root else source.parent
    lookup, sheet = Lookup(base, ending), read_sheet(source)
    said = [name for name in (path, *([label] if isinstance(label, str) else label or []), split, group) if name]
    listed = with_header(source, sheet, lookup, said)
    columns = choose(listed, lookup, path, label, split, group, ignore)
    for option, is_said in (("separator", separator is not None), ("several_rows", several_rows)):
        if is_said and labels != "several":
            raise not_asked_for(option)
    read = _reader(listed, columns, separator, ignore) if labels == "several" else partial(_label, listed, columns)
    found, left_out = _rows(listed, columns, lookup, read, on_error)
    rows, notes = _distinct(found, base, source, unites=several_rows)
    refuse_numbers([row.label for row in rows if isinstance(row.label, str)], source)
    if val == "none" and all(row.part != "train" for row in rows):  # to be scored, whatever part they are of
        rows = [replace(row, part="train") for row in rows]
    parts = _parts(rows, base, ignore)
    if left_out:
        what = names(f"{count} {reason}" for reason, count in Counter(reason for _, reason in left_out).items())
        count = f"{len(left_out)} of {len(listed.lines)} rows"
        notes.append(f"{source}: left out {count} (data.on_error=skip; all are in left_out.txt): {what}.")
    if not _is_plain(listed, columns, lookup):
        notes.insert(0, in_words(listed, sheet, columns, lookup, several=labels == "several"))
    with told(notes, DataError):
        least = 1 if val == "none" or labels == "several" else 2
        _check_parts(parts, source, ignore, least)
        if labels == "several":
            if len(columns.label) > 1 and val != "none":
                never_shown(source, [listed.names[column] for column in columns.label], parts["train"].classes)
            labels_of_each = [each.label for each in parts["train"].images if isinstance(each.label, Several)]
            notes.append(several_in_words(labels_of_each))
    look = Look(size, prepare, grey, resize, fit, crop_share, on_error)
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    made = file_source(parts["train"].classes, parts, look, wishes, Keep(cache, cache_dir, cache_limit), notes)
    lines = tuple(f"{source}, line {row.number}: {row.told} {reason}" for row, reason in left_out)
    return replace(made, left_out=(*lines, *made.left_out))


@dataclass(frozen=True)
class _Row:
    """One image of the table; number: its line."""

    number: int
    key: str
    label: str | Several
    part: str
    group: str | None = None

    @property
    def told(self) -> str:
        return self.key or "a row"


def _is_plain(listed: Table, columns: Columns, lookup: Lookup) -> bool:
    """Whether the table is what its words say, so that nothing about its reading need be told."""
    told = [listed.names[each] for each in (columns.path, *columns.label)]
    split = columns.split is None or listed.names[columns.split] == "split"
    return told == ["path", "label"] and split and listed.has_header and not any(lookup.folders)


def _rows(
    listed: Table,
    columns: Columns,
    lookup: Lookup,
    read: Callable[[Line], str | Several],
    on_error: Literal["stop", "skip"],
) -> tuple[list[_Row], list[tuple[_Row, str]]]:
    """The rows with a file and a label, and those without, each with the reason; these are refused but under skip."""
    part_of = _part_of(listed, columns)
    found, left_out = list[_Row](), list[tuple[_Row, str]]()
    for line in listed.lines:
        if _has_other_length(listed, line):
            if on_error == "stop":
                raise DataError(
                    f"{listed.source}, line {line.number}: not as many fields as the first line has. A comma in a name "
                    "wants quotes."
                )
            left_out.append((_Row(line.number, "", "", ""), "has not as many fields as the first line"))
            continue
        path = line.cells[columns.path].strip()
        label = read(line)
        part = "train" if columns.split is None else part_of[line.cells[columns.split].strip()]
        group = None if columns.group is None else line.cells[columns.group].strip()
        row = _Row(line.number, path, label, part, group)
        keys = lookup.find(path)
        if len(keys) > 1:
            raise DataError(_several(listed, row, keys, lookup))
        reason = "has no path" if not path else "has no label" if not label else "is not there" if not keys else None
        reason = reason or ("has no group" if group == "" else None)
        if reason:
            left_out.append((row, reason))
        else:
            found.append(replace(row, key=keys[0]))
    if left_out and (on_error == "stop" or not found):
        raise DataError(_refused(listed, columns, left_out, lookup, on_error))
    return found, left_out


def _has_other_length(listed: Table, line: Line) -> bool:
    """Whether a row has not as many cells as the first line; empty ones at its end do not count."""
    return len(line.cells) < len(listed.names) or any(line.cells[len(listed.names) :])


def _part_of(listed: Table, columns: Columns) -> dict[str, str]:
    """The part that each word of the column of parts says."""
    if columns.split is None:
        return {}
    words = listed.cells(columns.split)
    part_of = parts_of(set(words))
    for line, word in zip(listed.lines, words, strict=True):
        if word not in part_of and not _has_other_length(listed, line):
            hint = did_you_mean(word, ("train", "val", "valid", "test"))
            raise DataError(
                f"{listed.source}, line {line.number}: '{word}' is no part of a set.{hint} There is train, val and "
                "test."
            )
    return part_of


def _label(listed: Table, columns: Columns, line: Line) -> str:
    """The label of a row, '' if it has none. Raises DataError if it has two, or where 0 or 1 is wanted and is not."""
    if len(columns.label) == 1:
        return line.cells[columns.label[0]].strip()
    hot = []
    for column in columns.label:
        cell = line.cells[column].strip()
        if cell.lower() not in HOT:
            raise DataError(
                f"{listed.source}, line {line.number}: '{cell}' in column {listed.names[column]} is neither 0 nor 1. "
                "One column with the label of each row is data.label=COLUMN"
            )
        if HOT[cell.lower()]:
            hot.append(listed.names[column])
    if len(hot) > 1:
        raise DataError(
            f"{listed.source}, line {line.number}: 1 in several columns, {names(hot)}. Several labels a picture are "
            "learnt with task=multi; or say which column holds the one label: data.label=COLUMN"
        )
    return hot[0] if hot else ""


def _reader(
    listed: Table, columns: Columns, separator: str | None, ignore: str | None
) -> Callable[[Line], str | Several]:
    """What reads the labels of a row, where a picture may have several."""
    if len(columns.label) == 1:
        check_separator(listed.source, listed.cells(columns.label[0]), separator)
    elif separator is not None:
        raise ConfigError("data.separator: it acts within one column of labels, and there are several. Leave it out.")
    label_names = [listed.names[column] for column in columns.label]
    return Cells(listed.source, columns.label, label_names, separator, ignore).labels


def _several(listed: Table, row: _Row, keys: Sequence[str], lookup: Lookup) -> str:
    """The refusal of a row that may mean several files."""
    where = f"{listed.source}, line {row.number}: {row.key} may be {' or '.join(keys)}, below {lookup.base}."
    endings = sorted({Path(key).suffix for key in keys})
    if len(endings) > 1:
        return f"{where} Say which ending is meant: {' or '.join(f'data.ending={each}' for each in endings)}"
    return f"{where} Say where paths start: data.root={(lookup.base / keys[0]).parent}"


def _refused(
    listed: Table, columns: Columns, left_out: list[tuple[_Row, str]], lookup: Lookup, on_error: Literal["stop", "skip"]
) -> str:
    """The refusal of rows without a file or a label."""
    absent = [row for row, reason in left_out if reason == "is not there"]
    some = on_error == "stop" and len(left_out) < len(listed.lines)
    leave = " Or leave such rows out: data.on_error=skip" if some else ""
    if absent:
        told = names(f"{row.key} (line {row.number})" for row in absent)
        places = lookup.beside().below(absent[0].key)
        place = str(lookup.beside().base / places[0]) if places else "FOLDER"
        return (
            f"{listed.source}: {len(absent)} of {len(listed.lines)} files are not there, below {lookup.base}: {told}. "
            f"Say where the paths start: {shlex.quote(f'data.root={place}')}.{leave}"
        )
    (row, reason), *more = left_out
    again = f", and so in {len(more)} more rows" if more else ""
    empty = next((each for each in ("path", "group") if reason == f"has no {each}"), "label")
    what = f"the {empty} is empty"
    if len(columns.label) > 1 and reason == "has no label":
        what = f"none of {names(listed.names[each] for each in columns.label)} is 1"
    return f"{listed.source}, line {row.number}: {what}{again}. Fill it in.{leave}"


def _distinct(rows: list[_Row], base: Path, source: Path, *, unites: bool) -> tuple[list[_Row], list[str]]:
    """The rows without those that say the same again of a file, however they write its path; and the note on these.

    unites: rows of one file say its labels together.
    """
    first: dict[str, _Row] = {}
    for row in rows:
        path = os.path.realpath(base / row.key)
        before = first.setdefault(path, row)
        if unites and isinstance(before.label, Several) and isinstance(row.label, Several):
            first[path] = before = replace(before, label=before.label | row.label)
            row = replace(row, label=before.label)
        alike = (
            ("labels", before.label, row.label),
            ("parts", before.part, row.part),
            ("groups", before.group, row.group),
        )
        for what, old, new in alike:
            if old != new:
                raise DataError(
                    f"{source}: {row.key} is listed with two {what}, {old} in line {before.number} and {new} in line "
                    f"{row.number}. Remove one{', or say data.several_rows=true' * isinstance(old, Several)}."
                )
    if unites:
        return list(first.values()), []
    again = len(rows) - len(first)
    return list(first.values()), [f"{source}: left out {again} rows that say what another says."] if again else []


def _parts(rows: list[_Row], base: Path, ignore: str | None) -> dict[str, Files]:
    """The files of each part, with the classes that their rows name."""
    parts: dict[str, Files] = {}
    for row in sorted(rows, key=lambda row: row.key):
        about = (base / row.key).stat()
        label = None if ignore is not None and row.label == ignore else row.label
        file = File(label, row.key, about.st_size, marks(about), row.group)
        parts.setdefault(row.part, Files(base, ())).images.append(file)
    for files in parts.values():
        files.classes = tuple(sorted({label for image in files.images for label in image.shown}))
    return parts


def _check_parts(parts: dict[str, Files], source: Path, ignore: str | None, least: int) -> None:
    """least: how many classes there must be: two to train on."""
    if "train" not in parts:
        raise DataError(f"{source}: no row is of the training part. Some must say train.")
    classes = parts["train"].classes
    if not classes:
        raise DataError(f"{source}: no training row has a label, so there is nothing to learn. Fill some in.")
    if len(classes) < least:
        raise DataError(f"{source}: the training rows have {len(classes)} labels, {names(classes)}. Two are needed.")
    for part, files in parts.items():
        if unknown := [label for label in files.classes if label not in classes]:
            raise DataError(
                f"{source}: the {part} rows have labels that no training row has: {names(unknown)}."
                f"{did_you_mean(unknown[0], classes)} Mend them, or add such rows to the training part."
            )
    if ignore is not None and all(image.is_known for files in parts.values() for image in files.images):
        hint = did_you_mean(ignore, classes)
        raise DataError(f"data.ignore={ignore}: no row of {source} has this label.{hint} Leave data.ignore out.")
