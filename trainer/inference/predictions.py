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
from trainer.inference.spreadsheet import escaped

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
    def error(self) -> str | None:
        """The reason in words, without the picture's name in front."""
        return str(self.answer).removeprefix(f"{self.found.name}: ") if isinstance(self.answer, DataError) else None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The likeliest answers with their probabilities, `unsure` as the first where it is one."""
        if isinstance(self.answer, DataError):
            return []
        (_, probability), *others = self.answer.top(count)
        return [(str(self.name), probability), *others]


def write(file: BinaryIO, predictions: Iterable[Prediction], form: Format, classes: Sequence[str], topk: int) -> None:
    """Writes each as it comes. topk: how many classes are told, at most all of them."""
    topk = min(topk, len(classes))
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    try:
        _WRITERS[form](text, predictions, classes, topk)
    finally:
        text.flush()
        text.detach()  # the file stays open


def keys(topk: int) -> list[str]:
    """The columns of CSV, and the keys of JSON lines."""
    more = [f"{what}_{place}" for place in range(2, topk + 1) for what in ("prediction", "probability")]
    return ["path", "prediction", "probability", *more, "error"]


def _write_csv(text: io.TextIOWrapper, predictions: Iterable[Prediction], classes: Sequence[str], topk: int) -> None:
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys(topk))
    for each in predictions:
        told = [word for name, share in each.best(topk) for word in (escaped(name), f"{share:.6f}")]
        told += [""] * (2 * topk - len(told))
        writer.writerow([escaped(each.found.name), *told, escaped(each.error or "")])


def _write_jsonl(text: io.TextIOWrapper, predictions: Iterable[Prediction], classes: Sequence[str], topk: int) -> None:
    for each in predictions:
        told: list[str | float | None] = [word for name, share in each.best(topk) for word in (name, round(share, 6))]
        told += [None] * (2 * topk - len(told))
        line = dict(zip(keys(topk), [each.found.name, *told, each.error], strict=True))
        text.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_table(text: io.TextIOWrapper, predictions: Iterable[Prediction], classes: Sequence[str], topk: int) -> None:
    for line in table(predictions, classes, topk):
        text.write(line + "\n")


def table(predictions: Iterable[Prediction], classes: Sequence[str], topk: int) -> Iterator[str]:
    """A line for each, under a line of heads: answers in columns, the picture's name last, whatever its length."""
    topk = min(topk, len(classes))
    width = min(_WIDEST, max(cell_len(visible(name)) for name in (*classes, UNSURE, "prediction")))
    heads = ["prediction", *(f"{place}." for place in range(2, topk + 1))]
    yield "  ".join([*(set_cell_size(head, width + 8) for head in heads), "picture"])
    for each in predictions:
        name = visible(each.found.name)
        if each.error is not None:
            yield f"{set_cell_size('unreadable', width + 8)}  {name}: {visible(each.error)}"
            continue
        cells = [f"{_cell(best, width)} {share:>6.1%} " for best, share in each.best(topk)]
        yield "  ".join([*cells, name])


def _cell(name: str, width: int) -> str:
    shown = visible(name)
    return set_cell_size(shown, width) if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"


_WRITERS: dict[str, Callable[[io.TextIOWrapper, Iterable[Prediction], Sequence[str], int], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "table": _write_table,
}
