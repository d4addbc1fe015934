"""Which columns of a table hold the paths, labels, parts and groups: as it is said, or as the cells show."""

import shlex
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.data.formats import SUFFIXES
from trainer.data.lookup import Lookup, sample
from trainer.data.part_names import parts_of
from trainer.data.sheet import Line, Sheet
from trainer.errors import DataError, did_you_mean, visible

HOT = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
"""What a column of one class says of a picture."""
_USUAL = ("label", "labels", "class", "class_name", "target", "category")
_NEARLY_ALL = 0.9
_FEW_COLUMNS = 10
_WIDTH = 110


@dataclass(frozen=True)
class Table:
    """The rows of a table below the names of its columns; where it has no header these are 1, 2, 3, …"""

    source: Path
    names: tuple[str, ...]
    lines: Sequence[Line]
    has_header: bool

    def cells(self, column: int) -> list[str]:
        return [line.cells[column].strip() if column < len(line.cells) else "" for line in self.lines]

    @cached_property
    def shown(self) -> str:
        """All columns by name: within the line where they are few, else on lines of their own."""
        listed = ", ".join(visible(name) or "(no name)" for name in self.names) or "nothing"
        listed = f" {listed}"
        if len(self.names) > _FEW_COLUMNS:
            listed = "\n" + textwrap.fill(listed.strip(), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        return f"Its first line names{listed}" if self.has_header else f"It has no header; its columns are{listed}"


@dataclass(frozen=True)
class Columns:
    """Which column holds what, by number. label: several where each is one class, and says 1 for its pictures."""

    path: int
    label: tuple[int, ...]
    split: int | None
    group: int | None = None


def with_header(source: Path, sheet: Sheet, lookup: Lookup, said: Iterable[str]) -> Table:
    """The table of a sheet. Its first line is a header, unless one of its cells is a picture that is there.

    said: names of columns; a line that holds one is a header. Raises DataError if two columns have one name.
    """
    first = [cell.strip() for cell in sheet.lines[0].cells] if sheet.lines else []
    if first and not set(first) & set(said) and any(_is_picture(cell, lookup) for cell in first):
        numbers = tuple(str(number) for number in range(1, len(first) + 1))
        return Table(source, numbers, sheet.lines, has_header=False)
    if twice := sorted({name for name in first if name and first.count(name) > 1}):
        raise DataError(f"data.file: {source} has several columns of one name: {', '.join(twice)}. Rename all but one.")
    return Table(source, tuple(first), sheet.lines[1:], has_header=True)


def choose(
    table: Table,
    lookup: Lookup,
    path: str | None,
    label: str | list[str] | None,
    split: str | None,
    group: str | None = None,
    ignore: str | None = None,
) -> Columns:
    """Which column is what. Where nothing is said: a column called path, label or split, else what the cells show;
    groups are only those that are said. ignore: what a cell says of a label that is not known.

    Lets the lookup start where the paths are found. Raises DataError with all that cannot be found, and all columns.
    """
    wrong: list[str] = []
    split_column = _split(table, split, wrong)
    group_column = None if group is None else _group(table, group, wrong)
    mistaken = bool(wrong)
    path_column = _path(table, lookup, path, split_column, group_column, wrong)
    others, missing = {path_column, split_column}, list[str]()
    label_columns = _label(table, label, ignore, others | {group_column}, missing)
    if missing and group_column is not None and group_column in _label(table, label, ignore, others, []):
        label_columns, missing = (group_column,), []
    if group_column is not None and group_column in (path_column, *label_columns):
        mistaken = True
        wrong.append(_no_group(table.names[group_column], "paths" if group_column == path_column else "labels"))
    if not mistaken or label is not None:  # else one of the columns that are left is what was meant
        wrong += missing
    if wrong:
        raise DataError(f"data.file: {table.source} {'; it '.join(wrong)}. {table.shown}")
    assert path_column is not None
    return Columns(path_column, label_columns, split_column, group_column)


def in_words(table: Table, sheet: Sheet, columns: Columns, lookup: Lookup, *, several: bool) -> str:
    """The line that says how the table is read. several: labels a picture."""
    labels = [table.names[each] for each in columns.label]
    where = f" below {', '.join(lookup.folders)}" if any(lookup.folders) else ""
    each = "each of which is 1 or 0" if several else "one of which is 1"
    held = f"column {labels[0]}" if len(labels) == 1 else f"the columns {', '.join(labels)}, {each}"
    parts = f", parts in column {table.names[columns.split]}" if columns.split is not None else ""
    groups = f", groups in column {table.names[columns.group]}" if columns.group is not None else ""
    header = "" if table.has_header else " It has no header: its first line is of a picture."
    return (
        f"{table.source}: separated by {sheet.delimiter}s; paths{where} in column {table.names[columns.path]}, "
        f"{'labels' if several else 'classes'} in {held}{parts}{groups}.{header}"
    )


def _is_picture(cell: str, lookup: Lookup) -> bool:
    """Whether the cell names a file: with its ending, or at least with a number, which a header such as id has not."""
    named = Path(cell).suffix.lower() in SUFFIXES or any(character.isdigit() for character in cell)
    return named and bool(lookup.find(cell) or lookup.below(cell))


def _named(table: Table, name: str, option: str, what: str, wrong: list[str]) -> int | None:
    """The column of a name that was said."""
    if name in table.names:
        return table.names.index(name)
    hint = did_you_mean(name, [each for each in table.names if each])
    wrong.append(f"has no column '{name}'.{hint} Say which holds the {what}: data.{option}=COLUMN")
    return None


def _group(table: Table, said: str, wrong: list[str]) -> int | None:
    """The column of groups that was said, where it is no pattern."""
    if "(" in said and said not in table.names:
        wrong.append(
            f"has no column '{said}'. A pattern finds groups in the paths of class folders (data=folder); of a table "
            "say which column holds them: data.group=COLUMN"
        )
        return None
    return _named(table, said, "group", "groups", wrong)


def _no_group(name: str, held: str) -> str:
    """Why a column that holds something else cannot hold the groups."""
    each = "each picture would be a group of its own" if held == "paths" else "each class would be one group"
    return (
        f"holds the {held} in column {name}, so that {each}. Say which tells patients, places or videos apart: "
        "data.group=COLUMN; or leave data.group out"
    )


def _split(table: Table, said: str | None, wrong: list[str]) -> int | None:
    """The column of parts: the one that is said, or called split, or all of whose cells are names of parts."""
    if said is not None:
        return _named(table, said, "split", "parts (null: none)", wrong)
    if "split" in table.names:
        return table.names.index("split")
    for column in range(len(table.names)):
        words = set(table.cells(column))
        found = parts_of(words)
        if len(found) == len(words) > 1 and "train" in found.values():
            return column
    return None


def _path(
    table: Table, lookup: Lookup, said: str | None, split: int | None, group: int | None, wrong: list[str]
) -> int | None:
    """The column of paths: the one that is said, or called path, or whose cells are files that are there.

    That of the groups only where no other has any: it is refused then for what it is.
    """
    column = None
    if said is not None:
        column = _named(table, said, "path", "paths", wrong)
    elif "path" in table.names:
        column = table.names.index("path")
    else:
        free = [column for column, name in enumerate(table.names) if name and column != split]
        every = {column: list(dict.fromkeys(sample(table.cells(column)))) for column in free}
        asked = {column: names for column, names in every.items() if column != group}
        found = next(
            filter(None, (_most_found(some, find) for some in (asked, every) for find in (lookup.find, lookup.below))),
            [],
        )
        around = [] if found else _most_found(asked, lookup.beside().below)
        if len(found) == 1:
            column = found[0]
        elif found:
            listed = " and ".join(table.names[each] for each in found)
            wrong.append(f"holds files in {listed}. Say which are the images: data.path=COLUMN")
        elif around:
            place = lookup.beside().base / lookup.beside().below(asked[around[0]][0])[0]
            words = shlex.join([f"data.path={table.names[around[0]]}", f"data.root={place}"])
            wrong.append(
                f"has no column of files that are there, below {lookup.base}; but some are in {place}: {words}"
            )
        else:
            wrong.append(
                f"has no column of files that are there, below {lookup.base}. Say which holds the paths, and where "
                "they start: data.path=COLUMN data.root=FOLDER"
            )
    if column is not None:
        lookup.settle(table.cells(column))
    return column


def _most_found(asked: dict[int, list[str]], find: Callable[[str], Sequence[str]]) -> list[int]:
    """The columns of whose cells most are found, without those that name the very files that an earlier one names."""
    found = {column: [tuple(find(name)) for name in names] for column, names in asked.items()}
    counts = {column: sum(map(bool, each)) for column, each in found.items()}
    most = max(counts.values(), default=0)
    best = [column for column in counts if most and counts[column] >= _NEARLY_ALL * most]
    return [column for column in best if not any(found[column] == found[other] for other in best[: best.index(column)])]


def _label(
    table: Table, said: str | list[str] | None, ignore: str | None, taken: set[int | None], wrong: list[str]
) -> tuple[int, ...]:
    """The column of labels, or the columns of single classes: as said, or what is left beside the others."""
    if said is not None:
        names = [said] if isinstance(said, str) else said
        found = [_named(table, name, "label", "label", wrong) for name in names]
        return tuple(column for column in found if column is not None)
    if "label" in table.names:
        return (table.names.index("label"),)
    free = [column for column in range(len(table.names)) if column not in taken and table.names[column]]
    told = {column: set(table.cells(column)) for column in free}
    repeated = [column for column in free if 1 < len(told[column]) < max(4, len(table.lines))]
    usual = [column for column in repeated if table.names[column].lower() in _USUAL]
    chosen = usual if len(usual) == 1 else repeated
    if len(chosen) > 1 and all(cell.lower() in HOT or cell == ignore for column in chosen for cell in told[column]):
        return tuple(chosen)
    if len(chosen) != 1:
        might = (
            f", as {', '.join(table.names[each] for each in chosen)} might" if 0 < len(chosen) <= _FEW_COLUMNS else ""
        )
        wrong.append(
            f"does not tell which column holds the label{might}. Say which: data.label=COLUMN{_one_hot(table, chosen)}"
        )
        return ()
    return tuple(chosen)


def _one_hot(table: Table, columns: Sequence[int]) -> str:
    """The words for those of the columns that say 1 or 0, where there are two: in every row exactly one of them 1, or
    any number, with one more word where a label is not known.
    """
    told = {column: {cell.lower() for cell in table.cells(column)} for column in columns}
    hot = [column for column in columns if told[column] & HOT.keys() and len(told[column] - HOT.keys()) <= 1]
    plain = [column for column in hot if told[column] <= HOT.keys()]
    rows = zip(*[[HOT[cell.lower()] for cell in table.cells(column)] for column in plain], strict=True)
    one_each = len(plain) > 1 and all(row.count(True) == 1 for row in rows)
    listed = plain if one_each else hot
    if len(listed) < 2:
        return ""
    what = "of one class each" if one_each else "of one label each, with task=multi"
    words = shlex.quote(f"data.label=[{','.join(table.names[each] for each in listed)}]")
    return f", or the columns {what}: {words}"
