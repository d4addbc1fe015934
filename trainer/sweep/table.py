"""The runs of a multirun, ranked by what they were to reach: as a table on the screen, and as results.csv."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainer.errors import CheckpointError, TrainerError
from trainer.records.folder import RunFolder, read_json, replace_text
from trainer.settings import SCORES

_COLUMNS = ("rank", "run", "status", "best_epoch", "seconds")
_LOSSES = ("val_loss", "val_objective")
"""Of the best epoch, beside the task's score. Runs are ranked by that or by the first of these, of equals by both."""
_WIDE = 240
"""Characters: a log file has no width of its own."""
_SIDE_BY_SIDE = 8
"""Runs of a multirun that its page shows: as many as have a colour of their own."""
_REPEATED = ("data.fold", "seed")
"""What is varied to repeat a run, not to change it."""


def print_table(folder: Path, monitor: str) -> None:
    """Prints the ranked table of the runs in the folder and writes results.csv.

    Runs that differ in nothing but data.fold and seed are repetitions of one: a second table, and spread.csv, give
    their mean and spread.
    """
    runs = ranked(folder, monitor)
    keys = _varying(runs)
    scores = (_score_of(runs), *_LOSSES)
    rows = [_row(rank, run, scores, keys) for rank, run in enumerate(runs, 1)]
    header = [*_COLUMNS[:2], monitor, *keys, *_COLUMNS[2:], *(score for score in scores if score != monitor)]
    _show(rows, header, f"{folder}, best {monitor} first", folder / "results.csv")
    if not _validated_alike(runs):
        print("These runs were not all validated on the same images: their scores compare only as far as those do.")
    spread = spreads(runs, keys, monitor)
    if spread:
        over = " and ".join(key for key in keys if key in _REPEATED)
        _show(spread, list(spread[0]), f"{monitor} over {over}", folder / "spread.csv")


def print_page(folder: Path, monitor: str) -> None:
    """Writes compare.html, the best runs side by side, and prints where it is; nothing where fewer than two ended."""
    from trainer.commands.compare import PAGE, write_comparison

    finished = [RunFolder(folder / run["run"]) for run in ranked(folder, monitor) if run.get("status") == "finished"]
    best = finished[:_SIDE_BY_SIDE]
    if len(best) < 2:
        return
    of_all = f"the {len(best)} best of {len(finished)} runs" if len(finished) > len(best) else f"{len(best)} runs"
    try:
        write_comparison(best, folder / PAGE, f"{folder}: {of_all}")
    except TrainerError as error:  # the runs are done, and a page cannot undo them
        print(f"{folder / PAGE} was not drawn: {error}")
    else:
        print(folder / PAGE)


def spreads(runs: list[dict[str, Any]], keys: list[str], monitor: str) -> list[dict[str, str]]:
    """For each set of repetitions, best mean first: mean, standard deviation (n - 1), least and greatest score.

    keys: what was said to some runs and not to all. Empty where no two runs are repetitions of one.
    """
    told_apart = [key for key in keys if key not in _REPEATED]
    groups: dict[tuple[str, ...], list[float | None]] = {}
    for run in runs:
        groups.setdefault(tuple(run["said"].get(key, "") for key in told_apart), []).append(run["score"])
    if all(len(scores) < 2 for scores in groups.values()):
        return []
    rows = []
    for values, every in sorted(groups.items(), key=lambda group: _place({monitor: _mean(group[1])}, monitor)):
        scores = [score for score in every if score is not None]
        figures = {
            "mean": f"{mean(scores):.4f}" if scores else "-",
            "std": f"{stdev(scores):.4f}" if len(scores) > 1 else "-",
            "least": f"{min(scores):.4f}" if scores else "-",
            "greatest": f"{max(scores):.4f}" if scores else "-",
        }
        rows.append({**dict(zip(told_apart, values, strict=True)), "runs": f"{len(scores)} of {len(every)}", **figures})
    return rows


def ranked(folder: Path, monitor: str) -> list[dict[str, Any]]:
    """The summaries of the runs in the folder, best first, runs without a score last; 'said' is key -> value."""
    paths = sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    runs = [{**RunFolder(path).read_summary(), "run": path.name} for path in paths]
    for path, run in zip(paths, runs, strict=True):
        with suppress(CheckpointError):  # one that is damaged costs no run its place
            run["validation"] = read_json(RunFolder(path).about).get("validation_fingerprint")
        run["said"] = {key: value for key, _, value in (word.partition("=") for word in run.get("overrides", []))}
        run["score"] = (run.get("best") or {}).get(monitor)
    return sorted(runs, key=lambda run: _place(run.get("best") or {}, monitor))


def _validated_alike(runs: list[dict[str, Any]]) -> bool:
    """Whether the runs validated on the same images, as far as they tell; those of one fold, where folds are varied."""
    known = [(run["said"].get("data.fold"), run["validation"]) for run in runs if run.get("validation")]
    return len(set(known)) == len({fold for fold, _ in known})


def _place(scores: Mapping[str, float | None], monitor: str) -> tuple[tuple[bool, float], ...]:
    """What sorts the best monitored score first, and none last; where it is the same, the best of the other."""
    name = next((name for name in SCORES.values() if name in scores), None)
    score, loss = scores.get(name or monitor), scores.get("val_loss")
    place = (score is None, -(score or 0.0)), (loss is None, loss or 0.0)
    return place[::-1] if monitor == "val_loss" else place


def _score_of(runs: list[dict[str, Any]]) -> str:
    """What the task of the runs calls its score."""
    return SCORES[next((run["task"] for run in runs if "task" in run), "single")]


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return mean(known) if known else None


def _varying(runs: list[dict[str, Any]]) -> list[str]:
    """The keys that were said to the runs and do not have one value for all of them."""
    keys = dict.fromkeys(key for run in runs for key in run["said"] if key not in ("resume", "name", "output"))
    return [key for key in keys if len({run["said"].get(key) for run in runs}) > 1]


def _row(rank: int, run: dict[str, Any], scores: Sequence[str], keys: list[str]) -> dict[str, str]:
    score, best = run["score"], run.get("best") or {}
    return {
        "rank": str(rank) if score is not None else "-",
        "run": run["run"],
        **{key: f"{best[key]:.4f}" if best.get(key) is not None else "-" for key in scores},
        **{key: run["said"].get(key, "") for key in keys},
        "status": "done" if run.get("status") == "finished" else "FAILED",
        "best_epoch": str(best.get("epoch", "-")),
        "seconds": f"{run['seconds']:.1f}" if "seconds" in run else "-",
    }


def _show(rows: list[dict[str, str]], header: list[str], title: str, path: Path) -> None:
    """Prints a table, and writes it as CSV."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*[Text(row[key]) for key in header], style="red" if row.get("status") == "FAILED" else None)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(path, text.getvalue())
    print(path)
