"""sweep.html: the runs of a sweep on one page, and what they come to."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.commands.compare import pictures_of
from trainer.errors import TrainerError
from trainer.inference.compare_page import STYLES, side_by_side
from trainer.inference.compared import compared
from trainer.records.folder import RunFolder
from trainer.records.lines import read_metrics
from trainer.report.page.charts import REST, Chart, Line, line_chart
from trainer.report.page.facts import facts_of
from trainer.report.page.parallel import Column, Parallel, parallel
from trainer.report.page.wordings import wording_of
from trainer.report.page.write import write_page
from trainer.sweep.best import again
from trainer.sweep.importance import NO_OPTUNA, importance
from trainer.sweep.results import Group, Result, Standings, short, standings
from trainer.sweep.spread import best_of, repeated_over, scores_like
from trainer.sweep.table import rows, scores_of, spread_rows

PAGE = "sweep.html"
_NUMBERS = ("rank", "group", "best_epoch", "seconds", "mean", "std", "least", "greatest")


def print_page(folder: Path, monitor: str) -> None:
    """Writes the page and prints where it is; nothing where fewer than two runs have a score."""
    found = standings(folder, monitor)
    if sum(len(group.results) for group in found.groups) < 2:
        return
    try:
        write_page("sweep.html", folder / PAGE, **_shown(folder, found))
    except TrainerError as error:  # the runs are done, and a page cannot undo them
        print(f"{folder / PAGE} was not drawn: {error}")
    else:
        print(f"{folder / PAGE} shows the runs side by side")


def _shown(folder: Path, found: Standings) -> dict[str, Any]:
    """What the template is given."""
    group = max(found.groups, key=lambda each: len(each.results))
    coloured = group.results[: len(STYLES)]
    styles = {each.run: style for each, style in zip(coloured, STYLES, strict=False)}
    shares, remarks, beside = dict[str, float](), list(found.remarks), dict[str, Any]()
    try:
        shares, no_shares = importance(found), ""
    except ImportError:
        no_shares = NO_OPTUNA
    if len(coloured) > 1:
        try:
            facts = [facts_of(RunFolder(folder / each.run)) for each in coloured]
            compared_best = compared(facts, [f"run {each.run}" for each in coloured])
        except TrainerError as error:
            remarks.append(f"The best runs are not shown side by side: {error}")
        else:
            remarks += compared_best.missing
            beside = side_by_side(compared_best, pictures_of(compared_best), _heading(group, coloured))
            beside["settings"] = [tuple(map(short, row)) for row in beside["settings"]]
    return {
        "title": f"{folder}: {len(found.results)} runs",
        "outcome": _outcome(found),
        "monitor": group.monitor,
        "remarks": remarks,
        "styles": styles,
        "charts": _charts(folder, group, styles),
        "num_coloured": len(coloured),
        "num_pale": len(group.results) - len(coloured),
        "parallel": _parallel(found, group, styles),
        "shares": list(shares.items()),
        "no_shares": no_shares,
        "spread": _short(spread_rows(found)),
        "over": repeated_over(found),
        "runs": _short(rows(found)),
        "numbers": (*_NUMBERS, *scores_of(found)),
        "links": {each.run: _link(folder, each) for each in found.results},
        "side_by_side": bool(beside),
        "commands": _commands(folder, found),
        **beside,
    }


def _short(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{key: short(cell) for key, cell in row.items()} for row in rows]


def _outcome(found: Standings) -> str:
    """Which run is the best, in a sentence."""
    best = best_of(found)
    if best is None:
        return f"{len(found.results)} runs, in {len(found.groups)} groups that do not compare."
    monitor = found.groups[0].monitor
    name = "loss" if monitor == "val_loss" else wording_of(best.task).TASK.score_in_words
    scores = scores_like(best, found)
    figure = f"{fmean(scores):.4f}" if monitor == "val_loss" else f"{fmean(scores):.1%}"
    of_several = f", in the mean of {len(scores)}" if len(scores) > 1 else ""
    told = found.told(best, found.parameters if len(scores) > 1 else found.keys)
    return f"{told} does best of {len(found.results)} runs: a validation {name} of {figure}{of_several}."


def _heading(group: Group, coloured: Sequence[Result]) -> str:
    whole = len(coloured) == len(group.results)
    return f"{'All' if whole else 'The'} {len(coloured)}{'' if whole else ' best'} side by side"


def _charts(folder: Path, group: Group, styles: Mapping[str, str]) -> list[Chart]:
    """Score and loss of the runs over each other, the best in front."""
    drawn = []
    for each in reversed(group.results):
        epochs = [line for line in read_metrics(RunFolder(folder / each.run).metrics) if line["kind"] == "epoch"]
        drawn.append((each.run, styles.get(each.run, REST), epochs))
    task = wording_of(group.results[0].task).TASK
    charts = []
    for title, key, percent in (
        (f"Validation {task.score_in_words}", f"val_{task.score}", True),
        ("Validation loss", "val_loss", False),
    ):
        lines = [
            Line(f"run {name}", style, [(line["epoch"], line.get(key)) for line in epochs])
            for name, style, epochs in drawn
        ]
        charts.append(line_chart(title, "epoch", lines, percent=percent))
    return [chart for chart in charts if chart is not None and any("L" in line.path for line in chart.lines)]


def _parallel(found: Standings, group: Group, styles: Mapping[str, str]) -> Parallel | None:
    """Of the parameters that the runs of the group differ in; None where they differ in none."""
    results = group.results
    columns = [Column(key, [short(each.said.get(key, "")) for each in results]) for key in found.keys]
    columns = [column for column in columns if len({*column.values}) > 1]
    if not columns or len(results) < 2:
        return None
    scores = Column(group.monitor, [f"{each.best[group.monitor]:.4f}" for each in results])
    names, colours = [f"run {each.run}" for each in results], [styles.get(each.run, REST) for each in results]
    return parallel([*columns, scores], names, colours, least_is_best=group.monitor == "val_loss")


def _link(folder: Path, result: Result) -> str:
    """Its page, or its folder where it has none."""
    page = RunFolder(folder / result.run).report
    return f"{result.run}/{page.name}" if page.exists() else f"{result.run}/"


def _commands(folder: Path, found: Standings) -> list[tuple[str, str]]:
    best = best_of(found)
    if best is None:
        return [("The runs of one group side by side", f"python -m trainer compare {shlex.quote(str(folder))}/RUN ...")]
    run = shlex.quote(str(folder / best.run))
    return [
        ("Run the best again", again(folder)),
        ("Name pictures with it", f"python -m trainer predict {run} PICTURES"),
        ("Measure it, class by class", f"python -m trainer evaluate {run}"),
    ]
