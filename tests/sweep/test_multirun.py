"""Many runs from one command: ranked, with the failed ones marked, and resumable."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig
from PIL import Image
from shared import TINY, Ended

Train = Callable[..., Ended]


def make_photos(root: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for index in range(20):
            Image.new("RGB", (12, 12), (index, 99 * number, 7)).save(root / name / f"{index}.png")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.row(36)
def test_a_multirun_ranks_its_runs_marks_the_failed_one_and_goes_on_where_asked(
    train: Train, tmp_path: Path, golden: Callable[..., None]
) -> None:
    make_photos(tmp_path / "a")
    make_photos(tmp_path / "c")
    roots = ",".join(f"{tmp_path / name}" for name in "abc")
    words = ("-m", "name=sets", "data=folder", f"data.root={roots}", *TINY[2:], "epochs=1")
    ended = train(*words, tiny=False)
    folder = tmp_path / "outputs" / "multirun" / "sets"
    assert ended.code == 1
    assert [row["status"] for row in rows_of(folder)] == ["done", "done", "FAILED"]
    assert "run 2 of 3, in " in ended.out and "FAILED" in ended.out
    golden("row36_one_run_failed", ended.err, r"(?<=looked from )[^)]+")
    records = [(folder / run / "metrics.jsonl").read_bytes() for run in "02"]
    make_photos(tmp_path / "b")
    again = train(*words, "resume=auto", tiny=False)
    assert again.code == 0 and again.out.count("is finished") == 2
    assert [row["status"] for row in rows_of(folder)] == ["done"] * 3
    assert [(folder / run / "metrics.jsonl").read_bytes() for run in "02"] == records


@pytest.mark.slow
@pytest.mark.row(36)
def test_a_damaged_summary_costs_no_run_its_place_in_the_table(train: Train, tmp_path: Path) -> None:
    words = ("-m", "name=rates", "optim=sgd", "optim.lr=0.001,0.05", "epochs=1")
    assert train(*words).code == 0
    folder = tmp_path / "outputs" / "multirun" / "rates"
    for name in ("0/summary.json", "0/run.json", "1/summary.json"):
        (folder / name).write_text("{")
    assert train(*words, "resume=auto").code == 1
    assert {row["run"]: row["status"] for row in rows_of(folder)} == {"0": "FAILED", "1": "done"}


def test_a_multirun_is_ranked_and_its_folder_is_not_taken_twice(train: Train, tmp_path: Path) -> None:
    words = ("-m", "name=rates", "optim=sgd", "optim.lr=0.001,0.05", "epochs=1")
    assert train(*words).code == 0
    rows = rows_of(tmp_path / "outputs" / "multirun" / "rates")
    assert sorted(row["optim.lr"] for row in rows) == ["0.001", "0.05"]
    assert rows[0]["val_accuracy"] >= rows[1]["val_accuracy"]
    assert train(*words).code == 5


@pytest.mark.slow
def test_each_job_is_composed_once_when_it_starts(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[str] = []

    def counted(loader: ConfigLoaderImpl, master: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        runs_before = len(list(tmp_path.rglob("summary.json")))
        composed.append(f"{sweep_overrides[-1]} after {runs_before}")
        return compose(loader, master, sweep_overrides)

    compose = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    validate = Sweeper.validate_batch_is_legal
    assert train("-m", "epochs=1", "name=x", "optim.lr=0.01,0.02").code == 0
    assert composed == ["++optim.lr=0.01 after 0", "++optim.lr=0.02 after 1"]
    assert Sweeper.validate_batch_is_legal is validate
