"""Many runs from one command: ranked, with the failed ones marked, and resumable."""

import csv
from collections.abc import Callable
from pathlib import Path

from conftest import Ended

Spawn = Callable[..., Ended]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_multirun_ranks_its_runs_marks_the_failed_one_and_goes_on_where_asked(spawn: Spawn, tmp_path: Path) -> None:
    words = ("-m", "name=rates", "optim=sgd", "optim.lr=0.001,0.05,1e30", "epochs=1")
    ended = spawn(*words)
    folder = tmp_path / "outputs" / "multirun" / "rates"
    assert ended.code == 1
    rows = rows_of(folder)
    assert sorted(row["optim.lr"] for row in rows[:2]) == ["0.001", "0.05"]
    assert rows[0]["val_accuracy"] >= rows[1]["val_accuracy"]
    assert rows[2]["status"] == "FAILED" and float(rows[2]["optim.lr"]) == 1e30
    assert "FAILED" in ended.out and "The loss is not a finite number" in ended.err
    assert spawn(*words).code == 5
    again = spawn(*words, "resume=auto")
    assert again.out.count("is finished") == 2 and again.code == 1
