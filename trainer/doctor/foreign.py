"""The history of another tool's run: read from the CSV of scores that it leaves behind."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.doctor.history import Epoch, History
from trainer.errors import DataError, some

_WHOLE = 1.5
"""A score above it is no share of 1: it is told in percent."""


@dataclass(frozen=True)
class _Layout:
    """The columns that a tool writes: of several names for one figure the first that is there counts."""

    tool: str
    marks: tuple[str, ...]
    """Columns by which it is known, all of them."""
    train_loss: tuple[str, ...]
    val_loss: tuple[str, ...]
    val_score: tuple[str, ...]
    train_score: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    """Validation's share of wrong answers."""
    rate: tuple[str, ...] = ()
    """What such columns begin with."""


_KERAS = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
_LIGHTNING = ("acc", "accuracy", "top1", "acc1")


def _joined(
    parts: Sequence[str], figures: Sequence[str], ends: Sequence[str] = ("", "_epoch", "_step")
) -> tuple[str, ...]:
    """train_loss, train/loss and the like, of whole epochs first."""
    return tuple(f"{part}{mark}{figure}{end}" for end in ends for part in parts for mark in "_/" for figure in figures)


_LAYOUTS = (
    _Layout(
        "Ultralytics' results.csv",
        ("epoch", "train/loss", "metrics/accuracy_top1"),
        ("train/loss",),
        ("val/loss", "test/loss"),
        ("metrics/accuracy_top1",),
        rate=("lr/",),
    ),
    _Layout(
        "timm's summary.csv",
        ("epoch", "train_loss", "eval_top1"),
        ("train_loss",),
        ("eval_loss",),
        ("eval_top1",),
        rate=("lr",),
    ),
    _Layout(
        "fastai's history.csv",
        ("epoch", "train_loss", "valid_loss"),
        ("train_loss",),
        ("valid_loss",),
        ("accuracy", "accuracy_multi"),
        error=("error_rate",),
    ),
    _Layout(
        "Lightning's metrics.csv",
        ("epoch", "step"),
        _joined(["train"], ["loss"]),
        _joined(["val", "valid", "validation"], ["loss"]),
        _joined(["val", "valid", "validation"], _LIGHTNING),
        _joined(["train"], _LIGHTNING),
        rate=("lr-", "lr"),
    ),
    _Layout(
        "Keras' CSVLogger",
        ("epoch", "loss"),
        ("loss",),
        ("val_loss",),
        tuple(f"val_{name}" for name in _KERAS),
        _KERAS,
        rate=("learning_rate", "lr"),
    ),
)


def history_in(path: Path, classes: int | None = None) -> History:
    """What the file tells. classes: how many there are, which no such file tells.

    Raises DataError if it is none of a tool that is known.
    """
    rows = _rows(path)
    if not rows:
        raise DataError(f"{path}: a CSV without a row of scores. Let an epoch end first, or name a tool's CSV.")
    columns = [*rows[0]]
    layout = next((each for each in _LAYOUTS if _is_of(each, columns)), None)
    if layout is None:
        raise DataError(
            f"{path}: its columns are of no tool that is known: {some(columns)}. Known are "
            + "; ".join(f"{each.tool} ({', '.join(each.marks)})" for each in _LAYOUTS)
            + "."
        )
    epochs = _in_shares([_epoch(layout, number, row) for number, row in enumerate(_of_epochs(rows), start=1)])
    if not epochs:
        raise DataError(f"{path}: {layout.tool} without a row of scores. Let an epoch end first.")
    losses = [_figure(row, layout.train_loss, finite=False) for row in _of_epochs(rows)]
    broke = any(loss is not None and not math.isfinite(loss) for loss in losses)
    return History(
        epochs=epochs,
        classes=tuple(str(number) for number in range(classes or 0)),
        status="diverged" if broke else None,
        error="the training loss is not a finite number" if broke else None,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    """Each row by its columns' names, without the spaces that some tools align them with."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text: {error}. Name a tool's CSV.") from error
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=separator)
    names = [name.strip() for name in next(rows, [])]
    return [dict(zip(names, map(str.strip, row), strict=False)) for row in rows if any(map(str.strip, row))]


def _is_of(layout: _Layout, columns: Sequence[str]) -> bool:
    tells = any(name in columns for name in (*layout.train_loss, *layout.val_loss))
    return tells and all(mark in columns for mark in layout.marks)


def _of_epochs(rows: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """One row an epoch: of several, as Lightning writes them, the last that tells a figure counts.

    A row without an epoch, as that writes of the rate, belongs to the next one.
    """
    merged: dict[str, dict[str, str]] = {}
    waiting: dict[str, str] = {}
    for row in rows:
        waiting |= {name: value for name, value in row.items() if value != ""}
        if "epoch" in waiting:
            merged.setdefault(waiting["epoch"], {}).update(waiting)
            waiting = {}
    yield from merged.values()


def _epoch(layout: _Layout, number: int, row: Mapping[str, str]) -> Epoch:
    score, wrong = _figure(row, layout.val_score), _figure(row, layout.error)
    rates = [name for start in layout.rate for name in row if name.startswith(start)]
    return Epoch(
        number=number,
        train_loss=_figure(row, layout.train_loss),
        train_score=_figure(row, layout.train_score),
        val_loss=_figure(row, layout.val_loss),
        val_score=1 - wrong if score is None and wrong is not None else score,
        lr=_figure(row, rates),
    )


def _figure(row: Mapping[str, str], names: Sequence[str], *, finite: bool = True) -> float | None:
    """The first of these columns that holds a number. finite: whether others are as good as none."""
    for name in names:
        text = row.get(name, "")
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value) or not finite:
            return value
    return None


def _in_shares(epochs: Sequence[Epoch]) -> list[Epoch]:
    """The epochs with scores as shares of 1, where they are told in percent."""
    scores = [score for epoch in epochs for score in (epoch.train_score, epoch.val_score) if score is not None]
    if max(scores, default=0.0) <= _WHOLE:
        return [*epochs]
    return [replace(each, train_score=_share(each.train_score), val_score=_share(each.val_score)) for each in epochs]


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
