"""What a run chooses for itself: told, stored, overruled by any word, and kept when it goes on."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from shared import Ended, fingerprint

from trainer.preset import budget
from trainer.preset.recipe import _power_of_two

Train = Callable[..., Ended]
QUICK = ("epochs=2", "model=small_cnn", "model.widths=[4,8]", "device=cpu", "precision=fp32", "report=false")


def pace(**seconds: float) -> budget.Pace:
    """As if it had been measured, on pictures of a side; an epoch has 90 steps of a second each."""
    return budget.Pace(**{"step": 1.0, "steps": 90, "built": 5.0, **seconds})  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 24 pictures each, light and dark."""
    rng, root = np.random.default_rng(0), tmp_path / "photos"
    for name, low in (("dark", 0), ("light", 120)):
        (root / name).mkdir(parents=True)
        for number in range(24):
            pixels = rng.integers(low, low + 120, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def folder(train: Train, photos: Path) -> Train:
    """Trains on the pictures."""

    def command(*words: str) -> Ended:
        return train("data=folder", f"data.root={photos}", "device=cpu", "report=false", *words, tiny=False)

    return command


def stored(tmp_path: Path, name: str) -> dict[str, Any]:
    config = yaml.safe_load((tmp_path / "outputs" / name / "config.yaml").read_text())
    assert isinstance(config, dict)
    return config


@pytest.mark.slow
def test_each_choice_is_told_with_its_reason_and_stored_as_if_it_had_been_said(folder: Train, tmp_path: Path) -> None:
    ended = folder("name=run", "model=small_cnn", "model.widths=[4,8]", "limit_train=8")
    assert ended.code == 0, ended.err
    config, chosen = stored(tmp_path, "run"), json.loads((tmp_path / "outputs/run/run.json").read_text())["chosen"]
    assert config["preset"] == "none"
    assert config["epochs"] == chosen["epochs"] == 60
    assert re.search(r"^preset: .*epochs=60: 480 images are seen in all\.", ended.out, re.MULTILINE)
    for key in chosen:
        assert re.search(rf"^preset: .*\b{re.escape(key)}=\S+.*: .+\.$", ended.out, re.MULTILINE)


def test_a_word_of_the_users_wins(folder: Train, tmp_path: Path) -> None:
    ended = folder("name=run", *QUICK, "batch_size=5")
    assert ended.code == 0, ended.err
    config = stored(tmp_path, "run")
    assert (config["epochs"], config["batch_size"], config["model"]["name"]) == (2, 5, "small_cnn")
    assert "epochs=" not in "".join(line for line in ended.out.splitlines() if line.startswith("preset: "))


def test_nothing_is_chosen_where_preset_is_none_or_an_experiment_says_all(folder: Train, tmp_path: Path) -> None:
    assert folder("name=none", *QUICK, "preset=none").code == 0
    assert stored(tmp_path, "none")["batch_size"] == 128


def test_a_stored_config_run_again_takes_the_same_steps(folder: Train, train: Train, tmp_path: Path) -> None:
    assert folder("name=run", *QUICK).code == 0
    path = tmp_path / "outputs" / "run"
    again = train("--config-path", str(path), "name=again", tiny=False)
    assert again.code == 0, again.err
    assert "preset:" not in again.out
    assert fingerprint(path)["lines"] == fingerprint(tmp_path / "outputs" / "again")["lines"]


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_what_it_chose(folder: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("model=small_cnn", "model.widths=[4,8]", "epochs=3")
    assert folder("name=unbroken", *words).code == 0
    monkeypatch.setenv("TRAINER_FAULT", "term@step=2")
    assert folder("name=run", *words, "resume=auto").code == 143
    monkeypatch.delenv("TRAINER_FAULT")
    monkeypatch.setattr("trainer.preset.settle.suit", None)  # nothing is chosen again
    ended = folder("name=run", *words, "resume=auto")
    assert ended.code == 0, ended.err
    assert fingerprint(tmp_path / "outputs/run")["lines"] == fingerprint(tmp_path / "outputs/unbroken")["lines"]


@pytest.mark.slow
def test_few_images_and_weights_are_a_probe_and_more_are_one_first(folder: Train, tmp_path: Path) -> None:
    assert folder("name=before", *QUICK).code == 0
    weights = f"model.weights={tmp_path / 'outputs/before/checkpoints/best.pt'}"
    ended = folder("name=few", *QUICK[1:], weights)
    assert ended.code == 0, ended.err
    assert "preset: finetune=probe: 44 images are too few to teach the body anything but themselves." in ended.out
    said = folder("name=said", *QUICK, weights, "finetune=none")
    assert said.code == 0, said.err
    few, other = stored(tmp_path, "few"), stored(tmp_path, "said")
    assert (few["finetune"]["name"], few["optim"]["lr"]) == ("probe", 0.003)
    assert (other["finetune"]["name"], other["optim"]["lr"]) == ("none", 0.0003)


@pytest.mark.slow
def test_weights_bring_what_they_were_trained_to_see(folder: Train, tmp_path: Path) -> None:
    said = (
        "data.mean=[0.2,0.3,0.4]",
        "data.std=[0.5,0.6,0.7]",
        "data.size=16",
        "data.resize=bicubic",
        "data.crop_share=0.9",
    )
    assert folder("name=before", *QUICK, *said).code == 0
    best = tmp_path / "outputs/before/checkpoints/best.pt"
    ended = folder("name=tuned", *QUICK, f"model.weights={best}")
    assert ended.code == 0, ended.err
    before, after = (stored(tmp_path, name)["data"] for name in ("before", "tuned"))
    for key in ("mean", "std", "size", "resize", "crop_share"):
        assert after[key] == before[key]
    other = folder("name=other", *QUICK, f"model.weights={best}", "data.size=12", "data.normalise=mean_std")
    assert other.code == 0, other.err
    assert (stored(tmp_path, "other")["data"]["size"], stored(tmp_path, "other")["data"]["mean"]) == (12, None)


def test_the_weights_of_a_run_bring_its_network_where_no_other_is_said(folder: Train, tmp_path: Path) -> None:
    assert folder("name=before", *QUICK, "model.blur_pool=true", "data.size=16").code == 0
    weights = f"model.weights={tmp_path / 'outputs/before'}"
    ended = folder("name=after", "epochs=1", "precision=fp32", weights)
    assert ended.code == 0, ended.err
    assert re.search(r"preset: .*model\.widths=\[4,8\] .*model\.blur_pool=true.*: the network of", ended.out)
    before, after = (stored(tmp_path, name)["model"] for name in ("before", "after"))
    assert {**after, "weights": None} == before
    wide = folder("name=wide", "epochs=1", "precision=fp32", weights, "model.widths=[4,12]")
    assert wide.code == 0 and stored(tmp_path, "wide")["model"]["widths"] == [4, 12]
    other = folder("name=other", "epochs=1", "precision=fp32", weights, "model=mlp", "model.match=order")
    assert other.code == 4 and "the network of" not in other.out


@pytest.mark.slow
def test_weights_of_rectangles_bring_their_size_which_a_budget_leaves_and_a_word_changes(
    folder: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder("name=before", *QUICK, "data.size=[12,20]").code == 0
    weights = f"model.weights={tmp_path / 'outputs/before/checkpoints/best.pt'}"
    monkeypatch.setattr(budget, "_measured", lambda *_: pace(epoch=60.0, around=0.0, side=15))
    ended = folder("name=tuned", *QUICK[1:], "finetune=none", "budget=100s", weights)
    assert ended.code == 0 and "data.size=[12,20]" in ended.out, ended.err
    assert (stored(tmp_path, "tuned")["data"]["size"], stored(tmp_path, "tuned")["epochs"]) == ([12, 20], 1)
    said = folder("name=said", *QUICK, weights, "data.size=[16,12]")
    assert said.code == 0 and stored(tmp_path, "said")["data"]["size"] == [16, 12], said.err


def test_a_budget_becomes_as_many_epochs_as_fit(folder: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_measured", lambda *_: pace(epoch=7.0, around=20.0, side=20))
    ended = folder("name=run", "model=small_cnn", "model.widths=[4,8]", "budget=60s", "batch_size=44")
    assert ended.code == 0, ended.err
    config = stored(tmp_path, "run")
    assert config["epochs"] in (4, 5, 6)  # (60 s - 20 s - what the start took + half an epoch) / 7 s
    assert config["budget"] is None


def test_a_budget_measures_the_steps_of_the_run_and_leaves_them_untaken(
    folder: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_TIMED_SECONDS", 0.01)
    measured, paces = budget._measured, list[budget.Pace]()

    def slow(*given: Any) -> budget.Pace:
        paces.append(measured(*given))
        return replace(paces[-1], epoch=100.0)

    monkeypatch.setattr(budget, "_measured", slow)
    ended = folder("name=run", "model=small_cnn", "model.widths=[4,8]", "budget=6min", "batch_size=44")
    assert ended.code == 0, ended.err
    epochs = stored(tmp_path, "run")["epochs"]
    assert (epochs, paces[0].side) == (3, 20)
    assert 0 < paces[0].epoch < 60
    again = folder("name=again", "model=small_cnn", "model.widths=[4,8]", f"epochs={epochs}", "batch_size=44")
    assert again.code == 0, again.err
    assert fingerprint(tmp_path / "outputs/run")["lines"] == fingerprint(tmp_path / "outputs/again")["lines"]


def test_pictures_become_smaller_where_few_epochs_would_fit(
    folder: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = iter(
        [
            pace(epoch=64.0, around=0.0, side=256),
            pace(epoch=16.0, around=0.0, side=128),
        ]
    )
    monkeypatch.setattr(budget, "_measured", lambda *_: next(paces))
    monkeypatch.setattr(budget, "_SMALLEST_SIDE", 8)
    ended = folder("name=run", "model=small_cnn", "model.widths=[4,8]", "budget=100s", "batch_size=44", "limit_train=4")
    assert ended.code == 0, ended.err
    assert stored(tmp_path, "run")["data"]["size"] == 128
    assert "data.size=128: with more, 100s would be too short for 5 epochs." in ended.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("budget=10",), "budget: '10' is not a time such as 90s, 10min or 2h"),
        (("budget=0min",), "budget: '0min' is not a time such as 90s, 10min or 2h"),
        (("budget=10min", "epochs=3"), "budget: it chooses epochs, which are said too. Leave one of them out."),
    ],
)
def test_a_budget_that_cannot_be_is_told(folder: Train, words: tuple[str, ...], told: str) -> None:
    ended = folder("model=small_cnn", "model.widths=[4,8]", *words)
    assert ended.code == 2
    assert told in ended.err


def test_a_budget_too_short_for_an_epoch_says_how_long_it_must_be(
    folder: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(budget, "_measured", lambda *_: pace(epoch=100.0, around=20.0, side=20))
    ended = folder("name=run", "model=small_cnn", "model.widths=[4,8]", "budget=30s")
    assert ended.code == 2
    assert re.fullmatch(
        r"budget: 30s is too short for one epoch, which takes 100 s, with \d+ s for all else\. Give [23]min, or take "
        r"fewer images: limit_train=N\.\n",
        ended.err,
    )
    assert not (tmp_path / "outputs/run").exists()


@pytest.mark.slow
def test_a_budget_holds_the_search_for_a_rate_too(folder: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_measured", lambda *_: pace(epoch=100.0, around=0.0, side=20))
    monkeypatch.setattr("trainer.preset.settle.choose_rate", lambda *_: None)
    words = ("model=small_cnn", "model.widths=[4,8]", "budget=3000s", "limit_train=4", "limit_val=2")
    searching = folder("name=search", *words, "optim.lr=auto")
    assert searching.code == 0, searching.err
    plain = re.search(r" epochs=(\d+): an epoch takes 100\.0 s", folder("name=plain", *words).out)
    sought = re.search(r" epochs=(\d+): an epoch takes 100\.0 s", searching.out)
    assert plain is not None and sought is not None
    assert (int(plain[1]), int(sought[1])) == (30, 25)


@pytest.mark.parametrize(("number", "power"), [(0.5, 16), (17, 16), (31.9, 16), (32, 32), (100, 64), (1e6, 128)])
def test_batches_are_powers_of_two_within_their_bounds(number: float, power: int) -> None:
    assert _power_of_two(number, 16, 128) == power


def test_a_config_of_before_there_were_presets_runs_as_it_stands(folder: Train, train: Train, tmp_path: Path) -> None:
    assert folder("name=old", *QUICK, "preset=none").code == 0
    path = tmp_path / "outputs" / "old" / "config.yaml"
    before = "".join(line for line in path.read_text().splitlines(True) if not line.startswith(("preset:", "budget:")))
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "config.yaml").write_text(before)
    again = train("--config-path", str(tmp_path / "stored"), "name=again", tiny=False)
    assert again.code == 0, again.err
    assert fingerprint(path.parent)["lines"] == fingerprint(tmp_path / "outputs" / "again")["lines"]


def test_an_option_that_is_said_goes_with_the_part_that_is_chosen_if_that_has_it(folder: Train, tmp_path: Path) -> None:
    assert folder("name=both", *QUICK, "optim.lr=0.02").code == 0
    assert folder("name=own", *QUICK, "optim.eps=1e-7", "optim.beta1=0.8").code == 0
    assert folder("name=other", *QUICK, "loss.gamma=1.0", "loss=focal").code == 0
    both, own, other = (stored(tmp_path, name) for name in ("both", "own", "other"))
    assert (both["optim"]["name"], both["optim"]["lr"]) == ("muon", 0.02)
    assert (own["optim"]["name"], own["optim"]["beta1"]) == ("muon", 0.8)
    assert (other["loss"]["name"], other["loss"]["gamma"]) == ("focal", 1.0)


def test_what_is_said_of_training_keeps_a_probe_from_being_chosen(folder: Train, tmp_path: Path) -> None:
    assert folder("name=before", *QUICK).code == 0
    weights = f"model.weights={tmp_path / 'outputs/before/checkpoints/best.pt'}"
    ended = folder("name=run", *QUICK, weights, "optim.lr=1e-4")
    assert ended.code == 0, ended.err
    config = stored(tmp_path, "run")
    assert (config["finetune"]["name"], config["epochs"], config["optim"]["lr"]) == ("probe_first", 2, 1e-4)


def test_a_choice_that_is_overruled_later_stays_overruled(folder: Train, train: Train, tmp_path: Path) -> None:
    assert folder("name=run", *QUICK).code == 0
    resume = f"resume={tmp_path / 'outputs/run'}"
    assert train(resume, "epochs=3", "ema=0", "resume_allow=[ema]", tiny=False).code == 0
    ended = train(resume, "epochs=4", tiny=False)
    assert ended.code == 0, ended.err
    assert stored(tmp_path, "run")["ema"] == 0


def test_a_run_killed_before_it_has_said_what_it_is_chooses_again(folder: Train, tmp_path: Path) -> None:
    assert folder("name=run", *QUICK).code == 0
    path = tmp_path / "outputs" / "run"
    for file in (*path.glob("checkpoints/*"), path / "run.json", path / "summary.json", path / "metrics.jsonl"):
        file.unlink()
    ended = folder("name=run", *QUICK, "resume=auto")
    assert ended.code == 0, ended.err
    assert stored(tmp_path, "run")["optim"]["name"] == "muon"


def test_a_budget_said_to_a_run_that_goes_on_is_refused(folder: Train, train: Train, tmp_path: Path) -> None:
    assert folder("name=run", *QUICK).code == 0
    ended = train(f"resume={tmp_path / 'outputs/run'}", "budget=1h", tiny=False)
    assert ended.code == 2
    assert ended.err == "budget: it acts on a new run, and this one goes on. Say epochs=N.\n"


@pytest.mark.slow
def test_figures_of_colour_serve_grey_pictures_and_the_other_way(folder: Train, tmp_path: Path) -> None:
    assert folder("name=colour", *QUICK, "data.mean=[0.3,0.4,0.5]", "data.std=[0.2,0.2,0.2]").code == 0
    assert folder("name=grey", *QUICK, "data.grey=true", "data.mean=[0.3]", "data.std=[0.2]").code == 0
    for name, other, words, mean in (("a", "colour", ("data.grey=true",), [0.4]), ("b", "grey", (), [0.3, 0.3, 0.3])):
        weights = f"model.weights={tmp_path / 'outputs' / other / 'checkpoints/best.pt'}"
        ended = folder(f"name={name}", *QUICK, weights, "finetune=none", *words)
        assert ended.code == 0, ended.err
        assert stored(tmp_path, name)["data"]["mean"] == pytest.approx(mean)


@pytest.mark.slow
def test_patience_is_held_against_the_epochs_that_are_chosen(folder: Train) -> None:
    ended = folder("model=small_cnn", "model.widths=[4,8]", "early_stop=70")
    assert ended.code == 2
    assert ended.err.startswith("early_stop: 70 epochs without progress cannot happen in epochs=60.")
    assert folder("model=small_cnn", "model.widths=[4,8]", "limit_train=4", "early_stop=10").code == 0
