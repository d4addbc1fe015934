"""The labels of a picture that may have several, or none, as the cells of a table say them."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.data.columns import HOT
from trainer.data.listed import parts_in, read
from trainer.data.sheet import Line
from trainer.errors import ConfigError, DataError

_SEPARATORS = "|;,"


@dataclass(frozen=True)
class Several:
    """What is known of a picture: the labels that it has; unknown: those of which that is not, None: all others."""

    shown: frozenset[str] = frozenset()
    unknown: frozenset[str] | None = frozenset()

    def __str__(self) -> str:
        if self.unknown is None and not self.shown:
            return "unknown"
        others = "all others" if self.unknown is None else ", ".join(sorted(self.unknown))
        return (" and ".join(sorted(self.shown)) or "no label") + (f" ({others} unknown)" if others else "")

    def __or__(self, other: "Several") -> "Several":
        """What two rows of one picture say together."""
        shown = self.shown | other.shown
        unknown = None if self.unknown is None or other.unknown is None else (self.unknown | other.unknown) - shown
        return Several(shown, unknown)


@dataclass(frozen=True)
class Cells:
    """How the cells of a row are read. columns: those of the labels; names: theirs."""

    source: Path
    columns: Sequence[int]
    names: Sequence[str]
    separator: str | None
    ignore: str | None

    def labels(self, line: Line) -> Several:
        """What the row says of its picture. Raises DataError for a cell that says nothing."""
        if len(self.columns) == 1:
            return self._listed(line.cells[self.columns[0]].strip())
        said = {name: self._hot(line, column, name) for column, name in zip(self.columns, self.names, strict=True)}
        return Several(
            frozenset(name for name, is_shown in said.items() if is_shown),
            frozenset(name for name, is_shown in said.items() if is_shown is None),
        )

    def _listed(self, cell: str) -> Several:
        if self.ignore is not None and cell == self.ignore:
            return Several(unknown=None)
        parts = [part for each in parts_in(cell, self.separator) if (part := each.strip())]
        names = [read(part, self.separator) for part in parts if part != self.ignore]
        unknown = None if self.ignore in parts else frozenset(name for name, known in names if not known)
        return Several(frozenset(name for name, known in names if known), unknown)

    def _hot(self, line: Line, column: int, name: str) -> bool | None:
        cell = line.cells[column].strip()
        if self.ignore is not None and cell == self.ignore:
            return None
        if cell.lower() not in HOT:
            unknown = f"where it is unknown, say {shlex.quote(f'data.ignore={cell}')}; " if self.ignore is None else ""
            raise DataError(
                f"{self.source}, line {line.number}: '{cell}' in column {name} is neither 0 nor 1: {unknown}where one "
                "column has all labels of a row, data.label=COLUMN data.separator='|'"
            )
        return HOT[cell.lower()]


def check_separator(source: Path, cells: Iterable[str], separator: str | None) -> None:
    """Raises ConfigError where the cells of the one column of labels seem to be lists, and nothing divides them."""
    words = set(cells)
    if separator and any(separator in word for word in words):
        return
    for sign in _SEPARATORS:
        parts = {part.strip() for word in words for part in word.split(sign)}
        if len(parts) < len(words) and any(sign in word for word in words):
            example = next(word for word in sorted(words) if sign in word)
            raise ConfigError(
                f"{source}: '{example}' may be several labels. Say what stands between: data.separator='{sign}'"
            )


def tensor_of(labels: Sequence[Several | None], classes: Sequence[str]) -> Tensor:
    """(N, C) int8: 1 for a label that the picture has, 0 for one that it has not, -1 where that is not known."""
    place_of = {name: place for place, name in enumerate(classes)}
    found = torch.zeros(len(labels), len(classes), dtype=torch.int8)
    for row, each in zip(found, labels, strict=True):
        known = Several(unknown=None) if each is None else each
        if known.unknown is None:
            row.fill_(-1)
        for value, names in ((-1, known.unknown or ()), (1, known.shown)):
            for name in names:
                if name in place_of:
                    row[place_of[name]] = value
    return found


def never_shown(source: Path, names: Sequence[str], shown: Iterable[str]) -> None:
    """Raises DataError for the columns of labels that no training row has."""
    seen = set(shown)
    if missing := [name for name in names if name not in seen]:
        kept = ",".join(name for name in names if name in seen)
        raise DataError(
            f"{source}: no training row has the label{'s' * (len(missing) > 1)} {', '.join(missing)}, so that nothing "
            f"can be learnt of it. Leave the column out: data.label=[{kept}]"
        )


def several_in_words(labels: Sequence[Several]) -> str:
    """How many labels the training pictures have, in a line."""
    counts = [len(each.shown) for each in labels]
    without = sum(each == Several() for each in labels)
    unknown = sum(each.unknown != frozenset() for each in labels)
    none = f"; {without:,} of {len(counts):,} have none" if without else ""
    ignored = f"; of {unknown:,} some are unknown" if unknown else ""
    return (
        f"Several labels a picture: {sum(counts) / len(counts):.2f} on average, {max(counts)} at most{none}{ignored}."
    )


def not_asked_for(option: str) -> ConfigError:
    """The refusal of an option that acts where a picture has several labels, and here has one."""
    return ConfigError(
        f"data.{option}: it acts where a picture may have several labels. Say task=multi, or leave it out."
    )
