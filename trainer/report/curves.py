"""curves.png: loss, score and learning rate over the run, drawn from metrics.jsonl alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.engine.metrics import same_loss
from trainer.records.lines import read_metrics
from trainer.report.chart import Chart, Line, draw_charts
from trainer.task.task import Task

_BLUE, _ORANGE, _GREEN, _RED = "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"


def draw_curves(metrics: Path, picture: Path, task: Task) -> None:
    """Draws the picture; nothing if no epoch was finished."""
    lines = list(read_metrics(metrics))
    epochs = [line for line in lines if line["kind"] == "epoch"]
    steps = [line for line in lines if line["kind"] == "step"]
    if not epochs:
        return
    rates = steps if len(steps) > 1 else epochs
    rate = Line(_GREEN, [(line["step"], line["lr"]) for line in rates])
    loss = {"training": ("train_loss", _BLUE), "validation": ("val_objective", _ORANGE)}
    if not all(same_loss(line["val_loss"], line["val_objective"]) for line in epochs):
        loss["cross-entropy"] = ("val_loss", _RED)
    training, validation = (f"train_{task.step_score}", _BLUE), (f"val_{task.score}", _ORANGE)
    title, score = task.score, {"training": training, "validation": validation}
    if task.step_score != task.score:
        title, score = "scores", {f"training {task.step_score}": training, f"validation {task.score}": validation}
    charts = [_over_epochs("loss", loss, epochs), _over_epochs(title, score, epochs)]
    draw_charts([*charts, Chart("learning rate", "step", [rate], from_zero=True)], picture)


def _over_epochs(title: str, scores: dict[str, tuple[str, str]], epochs: Sequence[dict[str, Any]]) -> Chart:
    """Scores epoch by epoch. scores: the name of each line -> its key in metrics.jsonl and its colour."""
    lines = [
        Line(colour, [(line["epoch"], line[key]) for line in epochs], name) for name, (key, colour) in scores.items()
    ]
    return Chart(title, "epoch", lines)
