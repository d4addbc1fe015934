"""The rules: each names its fault by its records, and none accuses a healthy run."""

from collections.abc import Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from math import log
from typing import Any

import pytest
import yaml

from trainer.config import conf_folder
from trainer.doctor.diagnose import EXPLAINS, TOO_FEW, diagnose
from trainer.doctor.finding import SEVERITIES, Finding
from trainer.doctor.history import Epoch, History, Layer, Step, Vitals
from trainer.doctor.rules import RULES
from trainer.doctor.rules.rates import rate_too_low, warmup_never_ends

CLASSES = ("ant", "bee", "cat", "dog")
CONFIG: dict[str, Any] = {
    "batch_size": 32,
    "epochs": 10,
    "model": {"name": "small_cnn", "activation": "relu", "head_init": "zero", "weights": None, "widths": [16, 64, 128]},
    "init": {"name": "keep"},
    "loss": {"name": "cross_entropy", "smoothing": 0.0, "class_weights": "none"},
    "optim": {"name": "adamw", "lr": 0.003},
    "sched": {"name": "one_cycle", "warmup": 0.3},
    "aug": {"name": "light", "flip": 0.5, "mixup": 0.0},
    "data": {"name": "folder", "grey": False, "val": 0.1},
    "finetune": {"name": "none"},
}
ABOUT = {"preprocessing": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}, "parameters": 250_000}
WELL = Vitals(
    gradient_norm=1.0,
    updates={"stem": 0.01, "body": 0.01, "head": 0.01},
    layers=(Layer("stem", 0.0, 1.0, 0.0), Layer("body", 0.4, 0.8, 0.2), Layer("head", 0.0, 2.0, 0.0)),
    recall=(0.9, 0.9, 0.9, 0.9),
    commonest=0.27,
    waited=0.05,
)
LEARNING = [0.4, 0.55, 0.7, 0.85, 0.9, 0.94, 0.95, 0.95, 0.95, 0.95]
CHANCE = [0.25] * 10


def run(
    train: Sequence[float] = LEARNING,
    val: Sequence[float] = LEARNING,
    train_loss: Sequence[float] | None = None,
    val_loss: Sequence[float] | None = None,
    vitals: Vitals = WELL,
    rates: Sequence[float] = (1e-4, 3e-3, 1e-6),
    first: float = log(4),
    peak: float = log(4),
    **said: Any,
) -> History:
    """A run of ten epochs, healthy where nothing else is said. said: what the config says otherwise, 'optim_lr=1'."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()}
    for key, value in said.items():
        room, _, option = key.partition("_")
        if isinstance(config.get(room), dict):
            config[room][option] = value
        else:
            config[key] = value
    losses = [log(4) * (1 - (score - 0.25) / 0.75 * 0.95) for score in train] if train_loss is None else train_loss
    held = [log(4) * (1 - (score - 0.25) / 0.75 * 0.9) for score in val] if val_loss is None else val_loss
    epochs = [
        Epoch(place, losses[place - 1], score, held[place - 1], held[place - 1], val[place - 1], None, 5.0, vitals)
        for place, score in enumerate(train, start=1)
    ]
    steps = [Step(1, 1, first, lr=rates[0])]
    steps += [Step(10 * (place + 1), place + 1, peak, lr=rate) for place, rate in enumerate(rates)]
    return History(
        epochs=epochs,
        steps=steps,
        classes=CLASSES,
        train_images=1000,
        val_images=400,
        images_of_each=(250,) * 4,
        steps_per_epoch=30,
        epochs_planned=10,
        status="finished",
        config=config,
        about=ABOUT,
    )


def with_about(history: History, **about: Any) -> History:
    return replace(history, about={**ABOUT, **about})


def confused(*rows: Sequence[int]) -> dict[str, Any]:
    return {"confusion": [list(row) for row in rows]}


STUCK = {"train": CHANCE, "val": CHANCE}
FADED = (Layer("a", 0.5, 1.0, 0.0), Layer("b", 0.5, 1e-5, 0.0), Layer("head", 0.0, 0.1, 0.0))
DEAD = (Layer("a", 0.5, 1.0, 0.0), Layer("b", 0.0, 0.01, 0.97), Layer("head", 0.0, 0.1, 0.0))
PLANTED: dict[str, History] = {
    "diverged": replace(run([], []), status="diverged", steps=[Step(1, 1, None)], error="The loss is NaN. Stop."),
    "first_loss_far_off": run(**STUCK, first=9.0, init_name="normal"),
    "zero_init": run(**STUCK, init_name="zeros"),
    "nothing_learns": run(
        train=[0.3] * 10, val=[0.3] * 10, vitals=replace(WELL, updates={"stem": 0.0, "body": 0.0, "head": 0.1})
    ),
    "stuck_at_chance": run(train=CHANCE, val=[0.25, 0.25, 0.6, *CHANCE[3:]], train_loss=[log(4)] * 10),
    "collapsed": run(train=LEARNING, val=[0.45] * 10, vitals=replace(WELL, commonest=1.0, recall=())),
    "rate_too_high": run(**STUCK, optim_lr=0.3, peak=8.0),
    "rate_too_low": run(
        train=[0.26, 0.27, 0.28, 0.29, 0.3, 0.31, 0.32, 0.33, 0.33, 0.34],
        val=[0.3] * 10,
        optim_lr=3e-6,
        vitals=replace(WELL, updates={"stem": 1e-5, "head": 1e-5}),
    ),
    "warmup_never_ends": run(rates=(1e-4, 1e-3, 2e-3, 3e-3), sched_warmup=0.99),
    "stopped_in_warmup": replace(run(LEARNING[:4], LEARNING[:4], rates=(1e-4, 1e-3, 2e-3)), epochs_planned=30),
    "both_flat": run(train=[0.5] * 10, val=[0.45] * 10),
    "sigmoid_in_depth": run(**STUCK, model_activation="sigmoid", model_depth=10),
    "dead_units": run(**STUCK, vitals=replace(WELL, layers=DEAD)),
    "activations_vanish": run(**STUCK, vitals=replace(WELL, layers=FADED)),
    "activations_explode": run(**STUCK, vitals=replace(WELL, layers=(Layer("a", 0.0, 1e5, 0.0),))),
    "tiny_batches": run(batch_size=2),
    "unscaled_input": with_about(run(**STUCK), preprocessing={"mean": [0.0], "std": [0.004]}),
    "colour_taken_away": run(train=[0.5] * 10, val=[0.5] * 10, data_grey=True),
    "mirrored_classes": replace(
        run(),
        summary=confused((50, 50, 0, 0), (48, 52, 0, 0), (0, 0, 99, 1), (0, 0, 0, 100)),
    ),
    "data_bound": replace(
        run(vitals=replace(WELL, waited=0.7), data_cache="none"),
        epochs=[replace(each, seconds=60.0) for each in run(vitals=replace(WELL, waited=0.7)).epochs],
    ),
    "labels_unrelated": run(train=[0.25, 0.25, 0.3, 0.4, 0.5, 0.7, 0.9, 0.97, 1.0, 1.0], val=CHANCE),
    "wrong_labels": run(train=[0.4, 0.6, 0.68, *[0.7] * 7], val=[0.5, *[0.95] * 9], val_loss=[1.0, *[0.4] * 9]),
    "class_missing": replace(run(), images_of_each=(300, 300, 300, 0)),
    "class_never_predicted": run(vitals=replace(WELL, recall=(0.9, 0.9, 0.9, 0.0))),
    "uneven_classes": replace(
        run(vitals=replace(WELL, recall=(0.95, 0.9, 0.3, 0.2))), images_of_each=(900, 800, 50, 40)
    ),
    "weights_destroyed": run(train=[0.3] * 10, val=[0.3] * 10, peak=6.0, model_weights="body.pt"),
    "weights_statistics": with_about(run(model_weights="body.pt"), weights_expect={"mean": [0.5], "std": [0.05]}),
    "other_distribution": run(val=[0.3] * 10, vitals=replace(WELL, commonest=0.8)),
    "overfit": run(train=[*LEARNING[:6], 1.0, 1.0, 1.0, 1.0], val=[0.4, 0.5, 0.55, *[0.6] * 7], aug_name="none"),
    "overfit_by_loss": run(train_loss=[1 / 2**place for place in range(10)], val_loss=[1, 0.6, 0.5, *[0.9] * 7]),
    "model_too_small": with_about(run(train=[0.6, *[0.7] * 9], val=[0.6, *[0.7] * 9]), parameters=400),
    "underfit": run(train=[0.5, 0.6, 0.7, *[0.8] * 7], val=[0.5, 0.6, 0.7, *[0.8] * 7]),
    "training_flat": run(
        train=[0.4, 0.45, *[0.5] * 8],
        val=[0.4, *[0.5] * 9],
        train_loss=[1.2, *[1.1] * 9],
        val_loss=[1 / 2**e for e in range(10)],
    ),
    "both_rise": run(train_loss=[1.0, 1.2, *[2.0] * 8], val_loss=[1.0, 1.2, *[2.0] * 8]),
    "flattering_validation": replace(run(), summary={"test": {"accuracy": 0.6, "images": 500}}),
    "small_validation": replace(run(), val_images=20),
    "easier_validation": run(val=[score + 0.04 for score in LEARNING]),
    "still_learning": run(LEARNING[:5], LEARNING[:5]),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_names_the_fault_that_is_planted_and_no_healthy_run(rule: Any) -> None:
    finding = rule(PLANTED[rule.__name__])
    assert isinstance(finding, Finding) and finding.rule == rule.__name__ and finding.severity in SEVERITIES
    assert 0 < finding.confidence < 1 and finding.evidence and finding.practice
    assert (rule.__doc__ or "").startswith(finding.practice.split(",")[0])
    assert rule(run()) is None and rule(History(epochs=[])) is None


def test_training_images_of_one_class_alone_are_told_of() -> None:
    history = replace(run(train=[1.0] * 10, val=[0.5] * 10), classes=("ant", "bee"), images_of_each=(300, 0))
    assert diagnose(history)[0].rule == "class_missing"


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_is_told_first_and_a_note_below_what_is_graver(name: str) -> None:
    findings = diagnose(PLANTED[name])
    found = next(each for each in findings if each.rule == name)
    assert found == findings[0] or found.severity == "note"


def test_a_loss_that_rises_asks_for_no_higher_rate() -> None:
    low = PLANTED["rate_too_low"]
    rising = [replace(each, train_loss=1.1**number) for number, each in enumerate(low.epochs)]
    assert rate_too_low(low) is not None and rate_too_low(replace(low, epochs=rising)) is None


def test_a_fit_of_few_images_is_not_told_to_train_the_body() -> None:
    told = {}
    for count in (TOO_FEW - 1, TOO_FEW):
        fitted = replace(run(train=[1.0], val=[0.9]), summary={"probe": True}, train_images=count)
        (told[count],) = [each for each in diagnose(fitted) if each.rule == "fitted_at_once"]
    assert told[TOO_FEW - 1].words == "" and told[TOO_FEW].words.startswith("finetune=")
    preset = yaml.safe_load((conf_folder() / "preset.yaml").read_text(encoding="utf-8"))
    assert preset["weights"]["few"]["below"] == TOO_FEW


def test_a_healthy_run_is_told_so_and_what_to_try_next() -> None:
    first = diagnose(run())[0]
    assert first.rule == "healthy" and "trained weights" in first.what
    assert diagnose(run(val=[score - 0.1 for score in LEARNING], aug_name="none"))[0].words == "aug=light"


def test_a_run_of_one_epoch_is_not_accused() -> None:
    for scores in (CHANCE, LEARNING):
        findings = diagnose(run(train=scores[:1], val=scores[:1], train_loss=[1.4], val_loss=[1.4]))
        assert findings[0].rule == "too_little_evidence" and all(each.severity == "note" for each in findings)


def test_a_run_too_short_to_tell_is_told_one_number_of_epochs() -> None:
    findings = diagnose(run(train=LEARNING[:2], val=LEARNING[:2]))
    assert [each.words for each in findings if each.words.startswith("epochs=")] == ["epochs=20"]


def test_what_is_silenced_and_what_silences_it_are_rules() -> None:
    names = {rule.__name__ for rule in RULES}
    assert names == PLANTED.keys() and {*EXPLAINS} <= names
    assert {each for explained in EXPLAINS.values() for each in explained} <= names
    assert list(TopologicalSorter(EXPLAINS).static_order())  # a circle would silence all of it


def test_a_graver_cause_silences_what_it_explains() -> None:
    told = [each.rule for each in diagnose(PLANTED["rate_too_high"])]
    assert told[0] == "rate_too_high" and not {"stuck_at_chance", "labels_unrelated", "both_flat"} & {*told}


@pytest.mark.parametrize(("turns", "is_told"), [(0.99, True), (0.92, True), (0.8, False)])
def test_a_rate_that_comes_down_in_the_last_tenth_alone_gives_no_rest(turns: float, is_told: bool) -> None:
    rises = round(100 * turns)
    rates = [step / rises for step in range(1, rises + 1)] + [0.1] * (100 - rises)
    assert (warmup_never_ends(run(rates=rates, sched_warmup=turns)) is not None) == is_told


def test_the_rate_of_a_short_run_is_not_judged_by_the_steps_of_its_first_epoch() -> None:
    steps = [Step(number, epoch, 1.0, lr=lr) for number, epoch, lr in ((1, 1, 1e-4), (2, 1, 6e-4), (10, 4, 1.4e-3))]
    ends = (1.4e-3, 2.8e-3, 1.8e-3, 5.6e-4, 1e-8)
    epochs = [replace(epoch, lr=lr) for epoch, lr in zip(run().epochs, ends, strict=False)]
    short = replace(run(), epochs=epochs, steps=steps, steps_per_epoch=3, epochs_planned=5)
    assert warmup_never_ends(short) is None
    assert warmup_never_ends(replace(short, epochs=[*epochs[:4], replace(epochs[4], lr=3e-3)])) is not None
