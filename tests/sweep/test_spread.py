"""Repetitions of one run, over folds or seeds: their mean and spread."""

import csv
import statistics
from pathlib import Path
from typing import Any

import pytest

from trainer.records.folder import write_json
from trainer.sweep.results import short
from trainer.sweep.table import print_table

SCORES = {("0.1", "0"): 0.5, ("0.1", "1"): 0.7, ("0.1", "2"): 0.9, ("0.2", "0"): 0.95, ("0.2", "1"): None}


def sweep(folder: Path, scores: dict[tuple[str, str], float | None], repeated: str) -> Path:
    for number, ((lr, repetition), score) in enumerate(scores.items()):
        summary: dict[str, Any] = {
            "overrides": [f"optim.lr={lr}", f"{repeated}={repetition}", "epochs=1"],
            "seconds": 1.0,
        }
        summary |= {"status": "finished", "best": {"val_accuracy": score, "epoch": 1}} if score is not None else {}
        (folder / str(number)).mkdir(parents=True)
        write_json(folder / str(number) / "summary.json", summary)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("repeated", ["data.fold", "seed"])
def test_mean_and_spread_over_repetitions_stand_below_the_table(
    tmp_path: Path, repeated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(sweep(tmp_path, SCORES, repeated), "val_accuracy")
    best, other = rows_of(tmp_path / "spread.csv")
    assert (best["optim.lr"], best["runs"], best["mean"], best["std"]) == ("0.2", "1 of 2", "0.9500", "-")
    three = [0.5, 0.7, 0.9]
    assert float(other["mean"]) == pytest.approx(statistics.fmean(three), abs=1e-4)
    assert float(other["std"]) == pytest.approx(statistics.stdev(three), abs=1e-4)
    assert (other["runs"], other["least"], other["greatest"]) == ("3 of 3", "0.5000", "0.9000")
    assert repeated not in best
    printed = capsys.readouterr().out
    below = printed[printed.index("results.csv") :]
    assert f"val_accuracy over {repeated}" in below and "0.2000" in below  # the standard deviation


def test_runs_that_differ_otherwise_have_no_spread(tmp_path: Path) -> None:
    print_table(sweep(tmp_path, {("0.1", "0"): 0.5, ("0.2", "0"): 0.6}, "seed"), "val_accuracy")
    assert len(rows_of(tmp_path / "results.csv")) == 2 and not (tmp_path / "spread.csv").exists()


def test_values_that_a_search_tries_twice_are_no_repetitions(tmp_path: Path) -> None:
    words = ["optim.lr=0.1", "optim.lr=0.1", "optim.lr=0.2"]
    for number, word in enumerate(words):
        (tmp_path / str(number)).mkdir()
        best = {"val_accuracy": 0.5, "epoch": 1}
        write_json(tmp_path / str(number) / "summary.json", {"status": "finished", "best": best, "overrides": [word]})
    print_table(tmp_path, "val_accuracy")
    assert not (tmp_path / "spread.csv").exists()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("0.035125270307629956", "0.03513"),
        ("9.0123456789e-05", "9.012e-05"),
        ("0.001", "0.001"),
        ("1234567890", "1234567890"),
        ("2024_01_05", "2024_01_05"),
        ("photos/1.25", "photos/1.25"),
    ],
)
def test_long_fractions_are_told_in_short_and_nothing_else(said: str, shown: str) -> None:
    assert short(said) == shown
