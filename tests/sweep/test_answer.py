"""What a sweep says in the end: which runs compare, what mattered, one page, and the config of the best."""

import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shared import TINY, Ended, Reader, lines_of

from trainer.cli.main import main
from trainer.records.folder import write_json
from trainer.sweep.importance import importance
from trainer.sweep.page import print_page
from trainer.sweep.results import standings
from trainer.sweep.spread import best_of
from trainer.sweep.table import print_table

Train = Callable[..., Ended]
WORDS = ("-m", "name=s", "aug=none,light", "aug.flip=0.5", "optim.lr=0.001,0.05", "monitor=val_loss", "limit_train=32")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of four runs, with their page: not to be changed."""
    outputs = tmp_path_factory.mktemp("sweep")
    assert main([f"output={outputs}", *TINY, *WORDS, "report=true"]) == 0
    return outputs / "multirun" / "s"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def drawn(folder: Path, runs: Sequence[tuple[str, dict[str, Any]]], **common: Any) -> Path:
    """A sweep of runs that were never made: their words, and what their records tell."""
    for number, (words, told) in enumerate(runs):
        of_run = {"status": "finished", "overrides": words.split(), "seconds": 1.0, **common, **told}
        about = {key: of_run.pop(key) for key in ("classes", "validation_fingerprint", "images") if key in of_run}
        (folder / str(number)).mkdir(parents=True)
        write_json(folder / str(number) / "summary.json", of_run)
        write_json(folder / str(number) / "run.json", about)
    return folder


def scored(accuracy: float, loss: float = 1.0, **told: Any) -> dict[str, Any]:
    return {"best": {"val_accuracy": accuracy, "val_loss": loss, "val_objective": loss, "epoch": 1}, **told}


# Which runs compare


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"classes": ["a", "b"]}, "differ in their classes"),
        ({"validation_fingerprint": "q"}, "differ in the images that they were validated on"),
        ({"task": "multi", "best": {"val_map": 0.9, "val_loss": 0.1}}, "differ in their task"),
    ],
)
def test_runs_whose_scores_are_of_other_kinds_are_ranked_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], others: dict[str, Any], said: str
) -> None:
    first, second, third = scored(0.5), scored(0.7), {**scored(0.9), **others}
    runs = [("data.x=1", first), ("data.x=2", second), ("data.x=3", third)]
    print_table(drawn(tmp_path, runs, classes=["a", "c"], validation_fingerprint="p"), "val_accuracy")
    told = [(row["group"], row["rank"], row["run"]) for row in rows_of(tmp_path / "results.csv")]
    assert told == [("1", "1", "1"), ("1", "2", "0"), ("2", "-", "2")]
    assert said in capsys.readouterr().out
    assert best_of(standings(tmp_path, "val_accuracy")) is None and not (tmp_path / "best.yaml").exists()


def test_a_sweep_over_losses_says_which_of_the_losses_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(drawn(tmp_path, [(f"loss.smoothing={each}", scored(0.5)) for each in (0, 0.1)]), "val_loss")
    assert "compare val_loss, which is plain cross-entropy" in capsys.readouterr().out


def test_equals_share_a_rank_and_runs_that_were_ended_early_stand_last_with_their_status(tmp_path: Path) -> None:
    runs = [
        scored(0.99, status="pruned"),
        scored(0.5),
        {"status": "failed"},
        scored(0.9),
        scored(0.5),
        scored(0.4),
        {"status": "stopped"},
    ]
    print_table(drawn(tmp_path, [(f"optim.lr={number}", told) for number, told in enumerate(runs)]), "val_accuracy")
    told = [(row["rank"], row["run"], row["status"]) for row in rows_of(tmp_path / "results.csv")]
    assert told[:4] == [("1", "3", "done"), ("2", "1", "done"), ("2", "4", "done"), ("4", "5", "done")]
    assert told[4:] == [("-", "0", "pruned"), ("-", "2", "FAILED"), ("-", "6", "stopped")]


def test_the_best_has_the_best_mean_and_not_the_luckiest_run(tmp_path: Path) -> None:
    scores = {("0.1", 0): 0.1, ("0.1", 1): 0.9, ("0.2", 0): 0.7, ("0.2", 1): 0.6, ("0.3", 0): 0.8, ("0.3", 1): None}
    runs = [
        (f"optim.lr={lr} seed={seed}", {"status": "failed"} if score is None else scored(score))
        for (lr, seed), score in scores.items()
    ]
    best = best_of(standings(drawn(tmp_path, runs), "val_accuracy"))
    assert best is not None and dict(best.said) == {"optim.lr": "0.2", "seed": "0"}


# What mattered


def test_the_importance_of_a_parameter_is_its_share_of_the_variance(tmp_path: Path) -> None:
    effects = {("0.1", "none"): (0.8, 0.1), ("0.2", "none"): (0.4, 0.1), ("0.1", "light"): (0.8, 0.2)}
    effects[("0.2", "light")] = (0.4, 0.2)
    runs = [(f"optim.lr={lr} aug={aug}", scored(sum(parts))) for (lr, aug), parts in effects.items()]
    shares = importance(standings(drawn(tmp_path, [*runs] * 4), "val_accuracy"))
    of_lr, of_aug = 0.2**2, 0.05**2  # the variances of two values, each half as often
    assert [*shares] == ["optim.lr", "aug"]
    assert shares["optim.lr"] == pytest.approx(of_lr / (of_lr + of_aug), abs=0.03)


@pytest.mark.parametrize(("images", "is_luck"), [(100, True), (10_000, False)])
def test_a_ranking_that_the_luck_of_the_images_alone_would_give_is_told_and_nothing_is_made_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: int, is_luck: bool
) -> None:
    """The luck is drawn here: what 10,000 networks reach that are right in three of four of all pictures there are."""
    by_luck = np.random.default_rng(0).binomial(images, 0.75, 10_000) / images
    runs = [(f"optim.lr={a} seed={b}", scored(0.72 + 0.03 * (a + b))) for a in (0, 1) for b in (0, 1)]
    print_table(drawn(tmp_path, runs, images={"validation": images}), "val_accuracy")
    told = capsys.readouterr().out
    assert ("explained" in told) is not is_luck
    found = re.search(r"varies by 2\.4 points .* by (\d+\.\d) with the luck of 100 validation images", told)
    assert (found is not None) is is_luck
    assert found is None or float(found[1]) == pytest.approx(100 * by_luck.std(), abs=0.1)


def test_without_optuna_the_table_says_what_brings_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    runs = [(f"optim.lr={number % 3} seed={number % 2}", scored(number / 6)) for number in range(6)]
    print_table(drawn(tmp_path, runs), "val_accuracy")
    assert "pip install 'trainer[sweep]'" in capsys.readouterr().out


# The page and the config of the best


@pytest.mark.slow
def test_one_page_shows_the_sweep(sweep: Path) -> None:
    page = Reader(sweep / "sweep.html")
    titles = ("How they learnt", "What led to it", "What matters most", "All runs", "All 4 side by side")
    assert all(title in page.text for title in titles)
    links = {each["href"] for each in page.all("a")}
    assert links == {f"{number}/report.html" for number in range(4)}
    strands = [each for each in page.all("path") if "strand" in (each["class"] or "")]
    assert len(strands) == 4
    best = rows_of(sweep / "results.csv")[0]
    assert f"optim.lr={best['optim.lr']} does best of 4 runs" in page.text


def test_the_last_line_says_what_the_page_is(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_page(sweep, "val_loss")
    assert capsys.readouterr().out == f"{sweep / 'sweep.html'} shows the runs side by side\n"


@pytest.mark.slow
def test_the_best_config_runs_again_and_gives_the_same_numbers(sweep: Path, tmp_path: Path) -> None:
    best = rows_of(sweep / "results.csv")[0]["run"]
    command = (sweep / "best.yaml").read_text().splitlines()[0].partition("python -m trainer ")[2].split()
    assert main([*command, f"output={tmp_path}", "name=again"]) == 0
    lines = [lines_of(folder / "metrics.jsonl", "step", "epoch") for folder in (sweep / best, tmp_path / "again")]
    assert lines[0] == lines[1]


def test_the_best_config_is_found_beside_the_others(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = yaml.safe_load((sweep / "best.yaml").read_text())
    assert best["name"] is None
    assert main(["--config-dir", str(sweep), "--config-name", "best", "--cfg", "job"]) == 0
    assert json.dumps(best["optim"]["lr"]) in capsys.readouterr().out
