"""What was answered for each picture, as a table on a terminal, as CSV, and as JSON lines."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

from rich.cells import cell_len, set_cell_size

from trainer.errors import DataError, visible
from trainer.inference.answer import Answer
from trainer.inference.pictures import Found
from trainer.inference.spreadsheet import escaped, escaped_path

Format = Literal["csv", "jsonl", "table"]
_WIDEST = 28
"""Columns on a terminal for the name of a class."""


@dataclass(frozen=True)
class Prediction:
    """A picture's answer, or why there is none."""

    found: Found
    answer: Answer | DataError

    @property
    def said(self) -> Answer | None:
        """The answer; None where there is none."""
        return None if isinstance(self.answer, DataError) else self.answer

    @property
    def error(self) -> str | None:
        """The reason in words, without the picture's name in front."""
        return str(self.answer).removeprefix(f"{self.found.name}: ") if isinstance(self.answer, DataError) else None


class Columns(Protocol):
    """What is told of each picture between its path and its error, for a task."""

    @property
    def names(self) -> list[str]:
        """The columns of CSV."""

    def words(self, answer: Answer | None) -> list[str]:
        """What stands in them; None: there is no answer."""

    def plain(self, answer: Answer | None) -> dict[str, Any]:
        """For JSON lines, by their keys."""

    @property
    def heads(self) -> list[str]:
        """Of the table on a terminal, each as wide as its column."""

    def cells(self, answer: Answer) -> list[str]:
        """A row of it, as wide."""


def write(file: BinaryIO, predictions: Iterable[Prediction], form: Format, columns: Columns) -> None:
    """Writes each as it comes."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    try:
        _WRITERS[form](text, predictions, columns)
    finally:
        text.flush()
        text.detach()  # the file stays open


def _write_csv(text: io.TextIOWrapper, predictions: Iterable[Prediction], columns: Columns) -> None:
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *columns.names, "error"])
    for each in predictions:
        writer.writerow([escaped_path(each.found.name), *columns.words(each.said), escaped(each.error or "")])


def _write_jsonl(text: io.TextIOWrapper, predictions: Iterable[Prediction], columns: Columns) -> None:
    for each in predictions:
        line = {"path": each.found.name, **columns.plain(each.said), "error": each.error}
        text.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_table(text: io.TextIOWrapper, predictions: Iterable[Prediction], columns: Columns) -> None:
    for line in table(predictions, columns):
        text.write(line + "\n")


def table(predictions: Iterable[Prediction], columns: Columns) -> Iterator[str]:
    """A line for each, under a line of heads: answers in columns, the picture's name last, whatever its length."""
    heads = columns.heads
    yield "  ".join([*heads, "picture"])
    for each in predictions:
        name = visible(each.found.name)
        if each.said is None:
            yield f"{cell('unreadable', cell_len(heads[0]))}  {name}: {visible(each.error or '')}"
            continue
        yield "  ".join([*columns.cells(each.said), name])


def width_of(names: Iterable[str]) -> int:
    """Columns on a terminal that hold each of the names, up to a limit."""
    return min(_WIDEST, max(cell_len(visible(name)) for name in names))


def cell(name: str, width: int) -> str:
    """The name, cut or filled up to this width."""
    shown = visible(name)
    return set_cell_size(shown, width) if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"


_WRITERS: dict[str, Callable[[io.TextIOWrapper, Iterable[Prediction], Columns], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "table": _write_table,
}
