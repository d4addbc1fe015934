"""What layers give out under several initialisations, side by side: tables, a sentence for each, and a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from trainer.model.probe import BINS, SPAN, Values
from trainer.report.tables import print_table

Probes = Mapping[str, Sequence[Values]]
"""Of each scheme, by its name, the values of the layers; all schemes have the same layers."""

MEASURES: dict[str, Callable[[Values], float | None]] = {
    "mean": lambda values: values.mean,
    "std": lambda values: values.std,
    "dead (share of units that are 0 on every image)": lambda values: values.dead,
    "saturated (share of values where the slope is below a tenth)": lambda values: values.saturated,
}


def print_probes(probes: Probes) -> None:
    """Prints a table for each measure that these layers have, a row a layer, a column a scheme; then the verdicts."""
    for title, measure in MEASURES.items():
        rows = list(zip(*[[_shown(measure(values)) for values in layers] for layers in probes.values()], strict=True))
        if all(cell == "" for row in rows for cell in row):
            continue
        table = Table("layer", "then", title=title)
        for scheme in probes:
            table.add_column(scheme, justify="right")
        for values, row in zip(next(iter(probes.values())), rows, strict=True):
            table.add_row(values.name, values.activation, *row)
        print_table(table)
    for scheme, layers in probes.items():
        print(f"{scheme}: {verdict(layers)}")


def verdict(layers: Sequence[Values]) -> str:
    """In one line, whether the signal passes through the hidden layers."""
    shown = hidden(layers)
    first, last = shown[0], shown[-1]
    path = f"std {_short(first.std, 2)} behind the first layer, {_short(last.std, 2)} behind layer {len(shown)}"
    if last.std == 0:
        return "constant: the last hidden layer gives the same for every image, so nothing can be told apart"
    if (last.saturated or 0) > 0.2:
        return f"saturates: {last.saturated:.0%} of the last hidden values are where {last.activation} is flat; {path}"
    if last.std < first.std / 10:
        return f"fades: {path}"
    if last.std > first.std * 10:
        return f"grows: {path}"
    return f"holds: {path}"


def draw_probes(probes: Probes, picture: Path, title: str) -> None:
    """One panel a scheme: behind each hidden layer, the histogram of its values, standing upright."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    columns = min(3, len(probes))
    rows = -(-len(probes) // columns)
    figure = Figure(figsize=(1.0 + 3.9 * columns, 0.9 + 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    drawn = {scheme: hidden(layers) for scheme, layers in probes.items()}
    for panel, (scheme, layers) in zip(panels, drawn.items(), strict=False):
        _draw(panel, layers)
        panel.set_title(f"{scheme}: {verdict(layers).split(':')[0]}", fontsize=10)
    for panel in panels[len(probes) :]:
        panel.set_visible(False)
    lowest, highest = _reach([values for layers in drawn.values() for values in layers])
    panels[0].set_ylim(lowest, highest + (highest - lowest) / 8)  # room for the numbers
    figure.suptitle(title, fontsize=11)
    beyond = f"; values beyond {SPAN:g} are drawn at the edge" if highest == SPAN else ""
    figure.supxlabel(f"hidden layer; above, the std of its values{beyond}", fontsize=9)
    figure.supylabel("value (width: square root of its share)", fontsize=9)
    figure.savefig(picture, dpi=90)


def hidden(layers: Sequence[Values]) -> Sequence[Values]:
    """The layers that an activation follows; all, where none is seen."""
    return [values for values in layers if values.activation] or layers


def _draw(panel: Any, layers: Sequence[Values]) -> None:
    edges = [SPAN * (2 * place / BINS - 1) for place in range(BINS + 1)]
    step = -(-len(layers) // 12)  # of a deep network, only every so many layers are numbered
    for number, values in enumerate(layers, start=1):
        halves = (values.histogram / values.histogram.max()).sqrt().mul(0.45).tolist()
        left, right = [number - half for half in halves], [number + half for half in halves]
        panel.stairs(right, edges, baseline=left, orientation="horizontal", fill=True, color="tab:blue")
        if number % step == 0:
            where = {"xycoords": ("data", "axes fraction"), "fontsize": 6.5, "ha": "center", "va": "top"}
            panel.annotate(_short(values.std, 1), (number, 0.98), **where)
    panel.set_xlim(0.4, len(layers) + 0.6)
    panel.set_xticks(range(step, len(layers) + 1, step))
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", alpha=0.3)


def _reach(layers: Sequence[Values]) -> tuple[float, float]:
    """The range of values to draw: no further down than there are any, no further than tanh and sigmoid go."""
    negative = any(float(values.histogram[: BINS // 2].sum()) > 0 for values in layers)
    reach = 1.1 if all(values.saturated is not None for values in layers) else SPAN
    return -reach if negative else -reach / 10, reach


def _short(std: float, digits: int) -> str:
    return f"{std:.0f}" if std >= 10 else f"{std:.{digits}g}"


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"
