"""optim.lr=auto: a rate that is searched for, told, stored, and kept when the run goes on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from shared import TINY, Ended, fingerprint

from trainer.cli.main import main
from trainer.engine import rate_search
from trainer.preset import settle

Train = Callable[..., Ended]


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of few steps are enough here."""
    monkeypatch.setattr(rate_search, "_FEWEST_STEPS", 4)


def stored(tmp_path: Path, name: str) -> Any:
    return yaml.safe_load((tmp_path / "outputs" / name / "config.yaml").read_text())["optim"]["lr"]


@pytest.mark.slow
def test_a_run_whose_rate_is_found_is_the_run_at_that_rate(
    train: Train, tmp_path: Path, learnt: tuple[str, ...]
) -> None:
    ended = train(*learnt, "optim.lr=auto", "name=sought", tiny=False)
    assert ended.code == 0, ended.err
    told = re.search(
        r"^preset: optim\.lr=(\S+): of \d+ rates from \S+ to \S+ it (reaches|is) the lowest .*\.$", ended.out, re.M
    )
    assert told is not None, ended.out
    about = json.loads((tmp_path / "outputs/sought/run.json").read_text())
    assert float(told[1]) == stored(tmp_path, "sought") == about["chosen"]["optim.lr"]
    assert train(*learnt, f"optim.lr={told[1]}", "name=said", tiny=False).code == 0
    sought, said = (fingerprint(tmp_path / "outputs" / name) for name in ("sought", "said"))
    assert sought["lines"] == said["lines"]


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_rate_without_another_search(
    train: Train, tmp_path: Path, learnt: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*learnt, "optim.lr=auto", "resume=auto")
    assert train(*words, "name=unbroken", tiny=False).code == 0
    monkeypatch.setenv("TRAINER_FAULT", "term@step=9")
    assert train(*words, "name=x", tiny=False).code == 143
    monkeypatch.delenv("TRAINER_FAULT")
    monkeypatch.setattr(settle, "choose_rate", None)
    ended = train(*words, "name=x", tiny=False)
    assert ended.code == 0, ended.err
    assert fingerprint(tmp_path / "outputs/x")["lines"] == fingerprint(tmp_path / "outputs/unbroken")["lines"]


def test_a_run_that_was_begun_at_a_rate_of_its_own_refuses_a_search(train: Train) -> None:
    assert train("optim.lr=0.01", "name=x").code == 0
    ended = train("optim.lr=auto", "name=x", "resume=auto", "epochs=3")
    assert ended.code == 2 and ended.err.startswith("optim.lr: auto acts on a new run, and this one goes on")


@pytest.mark.slow
def test_in_a_sweep_each_run_searches_where_it_is_told_to(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "choose_rate", lambda draft, _: draft.choose("optim.lr", 0.05, "found."))
    ended = train("-m", "optim.lr=auto,0.001", "name=s", "epochs=1")
    assert ended.code == 0, ended.err
    configs = sorted((tmp_path / "outputs/multirun/s").glob("*/config.yaml"))
    assert [yaml.safe_load(each.read_text())["optim"]["lr"] for each in configs] == [0.05, 0.001]


@pytest.mark.slow
@pytest.mark.parametrize(("optim", "rate"), [("adamw", 0.003), ("muon", 0.01), ("sgd", 0.1)])
def test_where_nothing_is_learnt_the_rate_stays_the_optimizers_own(
    train: Train, tmp_path: Path, optim: str, rate: float
) -> None:
    ended = train("init=zeros", "epochs=1", f"optim={optim}", "optim.lr=auto", "name=x")
    assert ended.code == 0, ended.err
    assert f"preset: optim.lr={rate}: none of " in ended.out
    assert stored(tmp_path, "x") == rate


@pytest.mark.slow
def test_from_weights_the_search_begins_at_the_rate_of_their_recipe(
    train: Train, tmp_path: Path, learnt: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*learnt, "name=before", "epochs=1", tiny=False).code == 0
    begun = []
    monkeypatch.setattr(settle, "choose_rate", lambda draft, _: begun.append(draft.value("optim.lr")))
    weights = f"model.weights={tmp_path / 'outputs/before/checkpoints/best.pt'}"
    words = [word for word in learnt if not word.startswith(("preset=", "optim="))]
    for part in ("head_first", "probe_first"):
        ended = train(*words, weights, "optim.lr=auto", f"finetune={part}", f"name={part}", tiny=False)
        assert ended.code == 0, ended.err
    assert begun == [0.0003, 0.0003]


def test_a_probe_has_no_rate_to_search_for(train: Train) -> None:
    ended = train("finetune=probe", "model.weights=some.pt", "optim.lr=auto")
    assert ended.code == 2 and "optim.lr: auto cannot act with finetune=probe" in ended.err


@pytest.mark.slow
def test_a_look_before_the_run_searches_for_nothing(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(settle, "choose_rate", None)
    assert main(["preview", *TINY, "optim.lr=auto", f"output={tmp_path}"]) == 0
    assert "preset: optim.lr=0.003: where training would search, this is where it begins." in capsys.readouterr().out


def test_another_word_is_refused_with_the_one_that_is_known(train: Train) -> None:
    ended = train("optim.lr=aut")
    assert ended.code == 2
    assert "optim.lr: 'aut' is not a number above 0 or auto. Did you mean 'auto'?" in ended.err
