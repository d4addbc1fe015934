"""The runs of a multirun, ranked by what they were to reach: as a table on the screen, and as results.csv."""

import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trainer.records.folder import read_json, replace_text

_COLUMNS = ("rank", "run", "status", "best_epoch", "seconds")


def print_table(folder: Path, monitor: str) -> int:
    """Prints the ranked table of the runs in the folder and writes results.csv. 1 if a run failed, else 0."""
    runs = ranked(folder, monitor)
    keys = _varying(runs)
    rows = [_row(rank, run, monitor, keys) for rank, run in enumerate(runs, 1)]
    header = [*_COLUMNS[:2], monitor, *keys, *_COLUMNS[2:]]
    table = Table(*header, title=f"{folder}, best {monitor} first")
    for row in rows:
        table.add_row(*[row[key] for key in header], style="red" if row["status"] == "FAILED" else None)
    console = Console()
    console.print(table, width=None if console.is_terminal else 160)  # a log file has no width of its own
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(folder / "results.csv", text.getvalue())
    print(f"{folder / 'results.csv'}")
    return 1 if any(row["status"] == "FAILED" for row in rows) else 0


def ranked(folder: Path, monitor: str) -> list[dict[str, Any]]:
    """The summaries of the runs in the folder, best first, runs without a score last; 'said' is key -> value."""
    paths = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: (len(path.name), path.name))
    runs = [{**read_json(path / "summary.json"), "run": path.name} for path in paths]
    for run in runs:
        run["said"] = dict(word.split("=", 1) for word in run.get("said", []))
        run["score"] = (run.get("best") or {}).get(monitor)
    sign = -1 if monitor == "val_accuracy" else 1
    return sorted(runs, key=lambda run: (run["score"] is None, sign * (run["score"] or 0)))


def _varying(runs: list[dict[str, Any]]) -> list[str]:
    """The keys that were said to the runs and do not have one value for all of them."""
    keys = dict.fromkeys(key for run in runs for key in run["said"])
    return [key for key in keys if len({run["said"].get(key) for run in runs}) > 1]


def _row(rank: int, run: dict[str, Any], monitor: str, keys: list[str]) -> dict[str, str]:
    score, best = run["score"], run.get("best") or {}
    return {
        "rank": str(rank) if score is not None else "-",
        "run": run["run"],
        monitor: f"{score:.4f}" if score is not None else "-",
        **{key: run["said"].get(key, "") for key in keys},
        "status": "done" if run.get("status") == "finished" else "FAILED",
        "best_epoch": str(best.get("epoch", "-")),
        "seconds": f"{run['seconds']:.1f}" if "seconds" in run else "-",
    }
