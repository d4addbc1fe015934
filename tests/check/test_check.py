"""The verb check: what is wrong with a run, before it is begun."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from drawn import saved, scenes
from shared import TINY, Ended
from torch import nn

from trainer.build.training import build
from trainer.check import data, handful, sample, walk
from trainer.check.layers import biased_before_norm
from trainer.check.plan import of_learning
from trainer.cli.main import main, training_config

Found = dict[str, dict[str, str]]
"""Findings by their rule."""
DEVICE = ("data.images=96", "data.classes=3", "data.size=12", "device=cpu", "precision=fp32")
SMALL = (*TINY, "data.images=192", "epochs=6", "model.widths=[8,16]", "optim.lr=0.01")
"""A run that learns, of as many steps as want no word."""
MLP = ("model=mlp", "model.image_size=8", "model.width=32")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_TO_TIME", 0.01)
    monkeypatch.setattr(walk, "of_data", lambda *_: data.OnData((), (), ()))
    monkeypatch.setattr(handful, "_MOST_STEPS", handful._ENOUGH)
    monkeypatch.setattr(handful, "_LOWER", (0.1,))


@pytest.fixture
def unlearnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No handful is learnt: of the plan and the layers all is told without."""
    monkeypatch.setattr(walk, "_TO_LEARN", 0.0)


@pytest.fixture
def few_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no rate learns, two others tell it as well as five."""
    monkeypatch.setattr(handful, "_HIGHER", (10.0,))
    monkeypatch.setattr(handful, "_LOWER", (0.1,))


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Takes the small run, with other words behind its own, for a walk."""

    def command(*words: str, own: tuple[str, ...] = SMALL) -> Ended:
        code = main(["check", f"output={tmp_path / 'outputs'}", *own, *words])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


@pytest.fixture
def found(check: Callable[..., Ended]) -> Callable[..., Found]:
    """The findings of such a run; its exit code is that of the gravest."""

    def command(*words: str, own: tuple[str, ...] = SMALL) -> Found:
        ended = check("format=json", *words, own=own)
        assert ended.out, ended.err
        findings = {finding["rule"]: finding for finding in json.loads(ended.out)["findings"]}
        assert ended.code == (7 if any(each["severity"] == "fault" for each in findings.values()) else 0)
        return findings

    return command


def of_mlp(*words: str) -> tuple[str, ...]:
    return (*(word for word in SMALL if not word.startswith("model.")), *MLP, *words)


def test_a_healthy_run_is_told_what_it_takes_and_that_nothing_is_wrong_and_nothing_is_written(
    check: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = check()
    assert ended.code == 0
    assert "16 images learnt by heart in" in ended.out
    assert "first loss: " in ended.out and "1.1 if all classes were answered alike" in ended.out
    assert "an epoch about " in ended.out and "6 epochs" in ended.out and "GiB of the process at most" in ended.out
    assert ended.out.splitlines()[-1].startswith("verdict: nothing is wrong that can be seen before the run")
    assert not (tmp_path / "outputs").exists()


def test_as_json_nothing_else_is_printed(check: Callable[..., Ended]) -> None:
    told = json.loads(check("format=json").out)
    assert told["exit_code"] == 0 and told["verdict"].startswith("nothing is wrong")
    assert told["cost"]["steps_per_epoch"] == 11 and told["cost"]["seconds"] >= 6 * told["cost"]["seconds_per_epoch"]


def test_pictures_that_are_there_twice_are_told_and_drawn_beside_what_is_unreadable(
    check: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlearnt: None
) -> None:
    monkeypatch.setattr(walk, "of_data", data.of_data)
    monkeypatch.setattr(data, "_tried", lambda *_: iter(()))  # tiny networks have tests of their own
    root = tmp_path / "pictures"
    saved(root, scenes(each=8))
    (root / "train" / "dog" / "9.png").write_bytes((root / "train" / "cat" / "1.png").read_bytes())
    (root / "val" / "cat" / "9.png").write_bytes((root / "train" / "cat" / "2.png").read_bytes())
    (root / "train" / "cat" / "9.png").write_bytes((root / "train" / "cat" / "3.png").read_bytes()[:-200])
    before = [*root.rglob("*")]
    ended = check(
        own=("data=folder", f"data.root={root}", "data.size=16", "device=cpu", "model.widths=[4,8]", "name=x")
    )
    assert ended.code == 7
    picture = tmp_path / "outputs" / "check" / "x.png"
    for rule in ("unreadable, D6", "same_in_two_classes, X4", "leak, D1"):
        assert f"({rule})" in ended.out
    assert "time: an epoch about" in ended.out and f"picture: {picture}" in ended.out
    assert [*(tmp_path / "outputs").rglob("*.*")] == [picture] and [*root.rglob("*")] == before


def test_a_set_is_looked_at_in_part_and_told_as_a_whole(
    check: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, unlearnt: None
) -> None:
    monkeypatch.setattr(sample, "_MOST", 40)
    told = json.loads(check("format=json").out)
    assert "174 train, 18 validation" in told["lines"][0]
    assert told["cost"]["steps_per_epoch"] == 11


def test_a_wrong_format_is_told(check: Callable[..., Ended]) -> None:
    ended = check("format=jsn")
    assert ended.code == 2
    assert ended.err == "format: 'jsn' is not text | json. Did you mean 'json'?\n"


def test_what_is_wrong_with_words_or_data_is_told_as_in_training(check: Callable[..., Ended], tmp_path: Path) -> None:
    assert check("optim.lrr=1").code == 2
    assert check(own=("data=folder", f"data.root={tmp_path / 'nowhere'}")).code == 3


def test_a_rate_that_is_far_too_low_is_told_with_one_that_learns(found: Callable[..., Found]) -> None:
    told = found("optim.lr=0.0001")["rate_too_low"]
    assert told["severity"] == "warning" and told["words"] == "optim.lr=0.001"
    assert "rate_too_low" not in found(told["words"])


def test_a_rate_that_is_far_too_high_is_told_with_one_that_learns(found: Callable[..., Found]) -> None:
    told = found("optim.lr=0.3", own=of_mlp())["rate_too_high"]
    assert told["severity"] == "fault" and told["words"] == "optim.lr=0.03"


def test_a_rate_out_of_reach_of_those_that_are_tried_is_told_with_the_usual_one(
    found: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handful, "_LOWER", ())
    monkeypatch.setattr(handful, "_HIGHER", ())
    told = found("optim=sgd", "optim.lr=300", own=of_mlp())
    assert told["rate_too_high"]["severity"] == "fault" and told["rate_too_high"]["words"] == "optim.lr=0.1"
    assert "handful_not_learnt" not in told


def test_weights_of_zero_are_told_with_a_start_that_learns(found: Callable[..., Found], few_rates: None) -> None:
    told = found("init=zeros")
    assert told["constant_layers"]["severity"] == told["handful_not_learnt"]["severity"] == "fault"
    assert told["constant_layers"]["words"] == told["handful_not_learnt"]["words"] == "init=he_normal"


def test_sigmoids_in_depth_are_told(found: Callable[..., Found], few_rates: None) -> None:
    told = found("model.activation=sigmoid", "model.depth=6", own=of_mlp())
    assert told["deep_sigmoid"]["words"] == told["handful_not_learnt"]["words"] == "model.activation=relu"


def test_layers_that_make_their_values_larger_and_larger_are_told(found: Callable[..., Found], unlearnt: None) -> None:
    told = found("init=normal", "init.std=1", "model=plain_cnn", "model.width=8", own=DEVICE)
    assert told["exploding_values"]["severity"] == "warning" and told["first_loss"]["severity"] == "fault"


def test_relu_with_xavier_is_told_where_no_norm_stands_between(found: Callable[..., Found], unlearnt: None) -> None:
    told = found("init=xavier_uniform", own=of_mlp("model.depth=4"))["relu_with_xavier"]
    assert told["severity"] == "warning" and told["words"] == "init=he_uniform"
    assert found("init=xavier_uniform")["relu_with_xavier"]["severity"] == "note"


def test_a_bias_right_before_batch_norm_is_found_and_no_other() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)),
    )
    assert biased_before_norm(model, torch.zeros(2, 3, 12, 12)) == ["2"]


def test_batch_norm_on_few_images_is_told(found: Callable[..., Found], unlearnt: None) -> None:
    told = found("batch_size=4", "accumulate=4")["batch_norm_on_few"]
    assert told["severity"] == "warning" and told["words"] == "batch_size=16 accumulate=1"
    assert "batch_norm_on_few" not in found("batch_size=4", own=of_mlp())


def test_a_warm_up_of_no_step_is_told(found: Callable[..., Found], unlearnt: None) -> None:
    told = found("sched=warmup_cosine", "sched.warmup=0.01")["warmup_of_one_step"]
    assert told["severity"] == "warning" and told["words"] == "sched.warmup=0.08"
    assert "warmup_of_one_step" not in found("sched=warmup_cosine", told["words"])


def test_a_warm_up_that_hardly_ends_is_told_and_patience_that_lies_in_it(
    found: Callable[..., Found], unlearnt: None
) -> None:
    told = found("sched.warmup=0.99", "early_stop=2")
    assert told["endless_warmup"]["severity"] == "fault" and told["endless_warmup"]["words"] == "sched.warmup=0.3"
    assert "early_stop=2 cannot act" in told["early_stop_in_warmup"]["evidence"]


def test_words_that_will_not_act_are_told(found: Callable[..., Found], unlearnt: None) -> None:
    assert "save_every=1000: the run has 66 steps" in found("save_every=1000")["idle_words"]["evidence"]


def test_a_run_in_which_nothing_learns_is_told() -> None:
    job = build(training_config(SMALL), lambda *_: None)
    frozen = replace(job.recipe, begin_epoch=lambda model, _: model.requires_grad_(False))
    assert [each.rule for each in of_learning(replace(job, recipe=frozen))] == ["all_frozen"]
    assert not list(of_learning(job))
