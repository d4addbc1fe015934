"""curves.png: loss, accuracy and learning rate over the run, drawn from metrics.jsonl alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.records.metrics import read_metrics
from trainer.report.chart import Chart, Line, draw_charts

_BLUE, _ORANGE, _GREEN = "#1f77b4", "#ff7f0e", "#2ca02c"


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draws the picture; nothing if no epoch was finished."""
    lines = list(read_metrics(metrics))
    epochs = [line for line in lines if line["kind"] == "epoch"]
    steps = [line for line in lines if line["kind"] == "step"]
    if not epochs:
        return
    rates = steps if len(steps) > 1 else epochs
    rate = Line(_GREEN, [(line["step"], line["lr"]) for line in rates])
    charts = [_of_both_parts("loss", epochs), _of_both_parts("accuracy", epochs)]
    draw_charts([*charts, Chart("learning rate", "step", [rate], from_zero=True)], picture)


def _of_both_parts(score: str, epochs: Sequence[dict[str, Any]]) -> Chart:
    """A score of training and of validation, epoch by epoch."""
    parts = {"training": ("train", _BLUE), "validation": ("val", _ORANGE)}
    lines = [
        Line(colour, [(line["epoch"], line[f"{part}_{score}"]) for line in epochs], name)
        for name, (part, colour) in parts.items()
    ]
    return Chart(score, "epoch", lines)
