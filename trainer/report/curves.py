"""curves.png: loss, accuracy and learning rate over the run, drawn from metrics.jsonl alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.records.metrics import read_metrics


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draws the picture; nothing if no epoch was finished."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    lines = list(read_metrics(metrics))
    epochs = [line for line in lines if line["kind"] == "epoch"]
    steps = [line for line in lines if line["kind"] == "step"]
    if not epochs:
        return
    figure = Figure(figsize=(12, 3.6))
    figure.subplots_adjust(left=0.04, right=0.99, top=0.9, bottom=0.14, wspace=0.22)  # a layout engine draws it twice
    loss, accuracy, rate = figure.subplots(1, 3)
    _plot(loss, epochs, {"training": "train_loss", "validation": "val_loss"}, "loss")
    _plot(accuracy, epochs, {"training": "train_accuracy", "validation": "val_accuracy"}, "accuracy")
    drawn = steps if len(steps) > 1 else epochs
    rate.plot(
        [line["step"] for line in drawn], [line["lr"] for line in drawn], marker=_marker(drawn), color="tab:green"
    )
    rate.set(title="learning rate", xlabel="step", ylim=(0, None))
    for axes in (loss, accuracy, rate):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


def _plot(axes: Any, epochs: Sequence[dict[str, Any]], columns: dict[str, str], title: str) -> None:
    for label, column in columns.items():
        axes.plot(
            [line["epoch"] for line in epochs], [line[column] for line in epochs], _marker(epochs) + "-", label=label
        )
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def _marker(points: Sequence[Any]) -> str:
    return "o" if len(points) <= 30 else ""
