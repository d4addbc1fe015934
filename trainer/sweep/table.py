"""The table of a sweep: its runs ranked, on the screen and as results.csv, and what it comes to."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainer.errors import CheckpointError, visible
from trainer.records.folder import replace_text
from trainer.settings import SCORES
from trainer.sweep.best import BEST, again, write_best
from trainer.sweep.importance import importance_in_words
from trainer.sweep.results import Result, Standings, short, standings
from trainer.sweep.spread import best_of, repeated_over, scores_like, spreads

LOSSES = ("val_loss", "val_objective")
"""Of the best epoch, beside the task's score: plain cross-entropy, and what the run was trained on."""
_WIDE = 240
"""Characters: a log file has no width of its own."""


def print_table(folder: Path, monitor: str) -> None:
    """Prints the ranked table of the runs in the folder and what it comes to; writes results.csv and best.yaml.

    Of runs that are repetitions a second table, and spread.csv, give mean and spread.
    """
    found = standings(folder, monitor)
    _show(rows(found), f"{folder}, best {monitor} first", folder / "results.csv")
    for remark in found.remarks:
        print(remark)
    if spread := spread_rows(found):
        _show(spread, f"{monitor} over {repeated_over(found)}", folder / "spread.csv")
    if sentence := importance_in_words(found):
        print(sentence)
    _tell_best(folder, found)


def rows(found: Standings) -> list[dict[str, str]]:
    """A row of text for each run, best first; rank and group only where they say something."""
    scores = scores_of(found)
    cells = []
    for number, group in enumerate(found.groups, 1):
        where = {"group": str(number)} if len(found.groups) > 1 else {}
        for each in group.results:
            rank = str(group.rank(each)) if len(group.results) > 1 or not where else "-"
            cells.append({**where, "rank": rank, **_row(each, scores, found.keys)})
    where = {"group": "-"} if len(found.groups) > 1 else {}
    return [*cells, *({**where, "rank": "-", **_row(each, scores, found.keys)} for each in found.unranked)]


def spread_rows(found: Standings) -> list[dict[str, str]]:
    """A row of text for each set of repetitions; none where there are none."""
    return [{**dict(zip(found.parameters, each.values, strict=True)), **each.row} for each in spreads(found)]


def scores_of(found: Standings) -> list[str]:
    """The scores that are told of each run: what ranks them first."""
    tasks = dict.fromkeys(SCORES[each.task] for each in found.results)
    return list(dict.fromkeys((found.monitor, *tasks, *LOSSES)))


def _row(result: Result, scores: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    first, *others = scores
    return {
        "run": result.run,
        first: _figure(result, first),
        **{key: result.said.get(key, "") for key in keys},
        "status": result.status,
        "best_epoch": str(result.best.get("epoch", "-")),
        "seconds": "-" if result.seconds is None else f"{result.seconds:.1f}",
        **{key: _figure(result, key) for key in others},
    }


def _figure(result: Result, score: str) -> str:
    return f"{result.best[score]:.4f}" if score in result.best else "-"


def _tell_best(folder: Path, found: Standings) -> None:
    """Prints which run is the best, and writes it as best.yaml."""
    best = best_of(found)
    if best is None:
        (folder / BEST).unlink(missing_ok=True)  # of before there was another run
        return
    monitor, scores = found.groups[0].monitor, scores_like(best, found)
    mean = f", {fmean(scores):.4f} in the mean of {len(scores)}" if len(scores) > 1 else ""
    what = ", ".join(dict.fromkeys((f"run {best.run}", found.told(best))))
    print(visible(f"best: {what}: {monitor} {_figure(best, monitor)}{mean}"))
    try:
        print(f"{write_best(folder, best, found)}, to run it again: {again(folder)}")
    except CheckpointError as error:
        print(f"{folder / BEST} was not written: {error}")


def _show(rows: Sequence[Mapping[str, str]], title: str, path: Path) -> None:
    """Prints a table, in short, and writes it as CSV."""
    header = list(rows[0]) if rows else []
    table = Table(*header, title=title)
    for row in rows:
        style = {"done": None, "FAILED": "red"}.get(row.get("status", "done"), "dim")
        table.add_row(*(Text(short(row[key])) for key in header), style=style)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(path, text.getvalue())
    print(f"{path} holds this table")
