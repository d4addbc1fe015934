"""What was answered for each picture, as a table on a terminal, as CSV, and as JSON lines."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from rich.cells import cell_len, set_cell_size

from trainer.errors import DataError, visible
from trainer.inference.classifier import Answer
from trainer.inference.pictures import Found
from trainer.inference.spreadsheet import escaped, escaped_path

Format = Literal["csv", "jsonl", "table"]
UNSURE = "unsure"
"""The answer for a picture whose likeliest class stays below the threshold."""
_WIDEST = 28
"""Columns on a terminal for the name of a class."""


@dataclass(frozen=True)
class Prediction:
    """A picture's answer, or why there is none."""

    found: Found
    answer: Answer | DataError
    threshold: float = 0.0

    @property
    def is_sure(self) -> bool:
        return not isinstance(self.answer, DataError) and self.answer.probability >= self.threshold

    @property
    def name(self) -> str | None:
        """The class; `unsure` below the threshold; None where there is no answer."""
        if isinstance(self.answer, DataError):
            return None
        return self.answer.name if self.is_sure else UNSURE

    @property
    def likeliest(self) -> str | None:
        """The likeliest class, however likely; None where there is no answer."""
        return None if isinstance(self.answer, DataError) else self.answer.name

    @property
    def error(self) -> str | None:
        """The reason in words, without the picture's name in front."""
        return str(self.answer).removeprefix(f"{self.found.name}: ") if isinstance(self.answer, DataError) else None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The likeliest answers with their probabilities, `unsure` as the first where it is one."""
        if isinstance(self.answer, DataError):
            return []
        (_, probability), *others = self.answer.top(count)
        return [(str(self.name), probability), *others]


@dataclass(frozen=True)
class Columns:
    """What is told of each picture."""

    classes: Sequence[str]
    topk: int
    """How many of them are told, at most all."""
    likeliest: bool
    """Whether the likeliest class has a column of its own, since the answer need not name it."""

    @property
    def count(self) -> int:
        return min(self.topk, len(self.classes))

    @property
    def names(self) -> list[str]:
        """The columns of CSV, and the keys of JSON lines."""
        more = [f"{what}_{place}" for place in range(2, self.count + 1) for what in ("prediction", "probability")]
        return ["path", "prediction", "probability", *more, *(["likeliest"] if self.likeliest else []), "error"]


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
    writer.writerow(columns.names)
    for each in predictions:
        told = [word for name, share in each.best(columns.count) for word in (escaped(name), f"{share:.6f}")]
        told += [""] * (2 * columns.count - len(told))
        told += [escaped(each.likeliest or "")] if columns.likeliest else []
        writer.writerow([escaped_path(each.found.name), *told, escaped(each.error or "")])


def _write_jsonl(text: io.TextIOWrapper, predictions: Iterable[Prediction], columns: Columns) -> None:
    for each in predictions:
        best = each.best(columns.count)
        told: list[str | float | None] = [word for name, share in best for word in (name, round(share, 6))]
        told += [None] * (2 * columns.count - len(told))
        told += [each.likeliest] if columns.likeliest else []
        line = dict(zip(columns.names, [each.found.name, *told, each.error], strict=True))
        text.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_table(text: io.TextIOWrapper, predictions: Iterable[Prediction], columns: Columns) -> None:
    for line in table(predictions, columns):
        text.write(line + "\n")


def table(predictions: Iterable[Prediction], columns: Columns) -> Iterator[str]:
    """A line for each, under a line of heads: answers in columns, the picture's name last, whatever its length."""
    width = min(_WIDEST, max(cell_len(visible(name)) for name in (*columns.classes, UNSURE, "prediction")))
    heads = [
        set_cell_size(head, width + 8)
        for head in ("prediction", *(f"{place}." for place in range(2, columns.count + 1)))
    ]
    more = [set_cell_size("likeliest", width)] if columns.likeliest else []
    yield "  ".join([*heads, *more, "picture"])
    for each in predictions:
        name = visible(each.found.name)
        if each.error is not None:
            yield f"{set_cell_size('unreadable', width + 8)}  {name}: {visible(each.error)}"
            continue
        cells = [f"{_cell(best, width)} {share:>6.1%} " for best, share in each.best(columns.count)]
        more = [_cell(each.likeliest or "", width)] if columns.likeliest else []
        yield "  ".join([*cells, *more, name])


def _cell(name: str, width: int) -> str:
    shown = visible(name)
    return set_cell_size(shown, width) if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"


_WRITERS: dict[str, Callable[[io.TextIOWrapper, Iterable[Prediction], Columns], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "table": _write_table,
}
