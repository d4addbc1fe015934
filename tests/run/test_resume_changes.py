"""A run that goes on with other settings, each allowed by resume_allow: it works and says what begins anew, or it is
refused in one line."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from shared import Ended, lines_of

from trainer import registry, schema
from trainer.cli.main import main
from trainer.config import FIXED_ON_RESUME, HARMLESS_ON_RESUME
from trainer.settings import Settings

Command = Callable[..., Ended]
SMALL = ("data.images=48", "data.classes=3", "data.size=12", "model.widths=[4,8]", "batch_size=8", "epochs=2",
         "device=cpu", "precision=fp32", "name=x")  # fmt: skip
"""42 training images, 6 steps an epoch."""
BASES = {
    "sgd": ("optim.nesterov=false", "optim.weight_decay=0.01"),
    "adagrad": ("optim.weight_decay=0.01",),
    "adam": ("optim.weight_decay=0.01",),
    "adamw": (),
    "lamb": (),
    "muon": (),
    "rmsprop": ("optim.weight_decay=0.01",),
}
"""What makes every other option of the optimizer possible."""
OTHERS: dict[str, Any] = {
    "a number above 0": 0.002,
    "a number above 0 or auto": 0.002,
    "a number from 0 up": 0.05,
    "a number from 0 to 1": 0.5,
    "a number from 0 to below 1": 0.5,
    "a number between 0 and 1": 0.6,
    "a whole number from 0 up": 3,
    "a whole number from 1 up": 2,
    "a list, each text or null": "[head]",
}


def another(annotation: Any, default: Any) -> Any:
    """A value of the type other than the default."""
    if annotation is bool:
        return not default
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    return next((word for word in words if word != default), None) or OTHERS.get(schema.describe(annotation))


def changes_of(part: str) -> list[str]:
    options = registry.entries("optim")[part].options
    return [f"optim.{name}={another(option.annotation, option.default)}" for name, option in options.items()]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Path]:
    """A run that was stopped in its second epoch, begun once with each choice of words."""
    kept: dict[tuple[str, ...], Path] = {}

    def of(words: Sequence[str]) -> Path:
        if tuple(words) not in kept:
            outputs = tmp_path_factory.mktemp("begun")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TRAINER_FAULT", "term@step=8")
                assert main([f"output={outputs}", *SMALL, *words]) == 143
            kept[tuple(words)] = outputs / "x"
        return kept[tuple(words)]

    return of


@pytest.fixture
def going_on(begun: Callable[[Sequence[str]], Path], train: Command, tmp_path: Path) -> Callable[..., Ended]:
    """Goes on with a copy of the run that was begun with these words, and changes what the others say."""

    def command(words: Sequence[str], *changes: str) -> Ended:
        shutil.copytree(begun(words), tmp_path / "outputs" / "x")
        keys = dict.fromkeys(change.partition("=")[0] for change in changes)
        allowed = ",".join(key for key in keys if key not in HARMLESS_ON_RESUME)
        said = [change for change in changes if "=" in change]
        return train(*SMALL, *words, *said, "resume=auto", f"resume_allow=[{allowed}]", tiny=False)

    return command


ANEW = {("sgd", "optim.debias=True"), ("rmsprop", "optim.centered=True"), ("rmsprop", "optim.momentum=0.5")}
OPTIM_CHANGES = [(part, change) for part in sorted(BASES) for change in changes_of(part)]


def test_every_option_of_every_optimizer_is_tried() -> None:
    assert set(BASES) == set(registry.entries("optim"))
    assert not [change for _, change in OPTIM_CHANGES if change.endswith("None")]


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize(("part", "change"), OPTIM_CHANGES)
def test_any_option_of_an_optimizer_may_change_when_that_is_allowed(
    going_on: Callable[..., Ended], part: str, change: str, tmp_path: Path
) -> None:
    ended = going_on((f"optim={part}", *BASES[part]), change)
    assert ended.code == 0, ended.err
    anew = [line for line in ended.out.splitlines() if "begins anew" in line]
    assert bool(anew) == ((part, change) in ANEW)
    last = torch.load(tmp_path / "outputs" / "x" / "checkpoints" / "last.pt", weights_only=True)
    assert last["step"] == 12 and all(each.isfinite().all() for each in last["model"].values())
    assert {int(kept["step"]) for kept in last["optimizer"].values() if "step" in kept} <= {4 if anew else 12}


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize("part", ["adamw", "sgd", "rmsprop", "lamb"])
def test_the_state_of_one_parameter_never_lands_on_another(
    begun: Callable[[Sequence[str]], Path], spawn: Command, tmp_path: Path, part: str
) -> None:
    words = (f"optim={part}", *BASES[part])
    shutil.copytree(begun((*words, "optim.decay_on=[stage1.1.0]")), tmp_path / "outputs" / "x")
    now = ("optim.decay_on=[head]", "resume=auto", "resume_allow=[optim.decay_on]")
    ended = spawn(*SMALL, *words, *now, tiny=False)  # in a process of its own: it would take this one with it
    assert ended.code == 0, ended.err
    assert "begins anew" not in ended.out


@pytest.mark.row(18)
def test_what_begins_anew_is_told_and_recorded_in_one_line(
    going_on: Callable[..., Ended], tmp_path: Path, golden: Callable[..., None]
) -> None:
    ended = going_on(("optim=rmsprop", *BASES["rmsprop"]), "optim.centered=true", "ema=0.9")
    assert ended.code == 0, ended.err
    golden("row18_anew", "".join(f"{line}\n" for line in ended.out.splitlines() if "Not bit-exact" in line))
    changed = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")[-1]["changed"]
    assert isinstance(changed, list) and len(changed) == 4


CHANGES: list[tuple[Sequence[str], Sequence[str], int, str]] = [
    ((), ("batch_size=5",), 0, ""),
    ((), ("accumulate=2",), 0, ""),
    ((), ("seed=3",), 0, ""),
    ((), ("clip_norm=0.5",), 0, ""),
    ((), ("on_nonfinite=skip",), 0, ""),
    ((), ("on_nonfinite=rollback",), 0, ""),
    ((), ("ema=0.9",), 0, "the averaged weights begin as the model's own"),
    (("ema=0.9",), ("ema=0",), 0, "ema: 0.9 before, 0.0 now"),
    (("ema=0.9",), ("ema=0.99",), 0, "ema: 0.9 before, 0.99 now"),
    ((), ("precision=bf16",), 0, ""),
    ((), ("precision=fp16",), 0, ""),
    (("precision=fp16",), ("precision=fp32",), 0, ""),
    ((), ("device=auto", "precision=auto"), 0, ""),
    ((), ("deterministic=false",), 0, "deterministic: True before, False now"),
    ((), ("channels_last=false",), 0, ""),
    (("channels_last=false",), ("channels_last=true",), 0, ""),
    ((), ("kernels=torch",), 0, ""),
    ((), ("sync_batch_norm=true",), 0, ""),
    ((), ("limit_train=20",), 0, ""),
    ((), ("limit_val=4",), 0, ""),
    ((), ("aug=none",), 0, ""),
    ((), ("aug=strong", "aug.mixup=0.2"), 0, ""),
    ((), ("init=he_normal",), 0, ""),
    ((), ("loss=mse",), 0, ""),
    ((), ("loss.smoothing=0.1",), 0, ""),
    ((), ("sched=plateau", "sched.patience=1", "epochs=3"), 0, ""),
    ((), ("sched.warmup=0.5",), 0, ""),
    ((), ("model.dropout=0.3",), 0, ""),
    ((), ("model.widths=[4,9]",), 4, "does not fit this run: with model.widths: [4, 8] before, [4, 9] now."),
    ((), ("optim=sgd",), 2, "optim.name: adamw before, sgd now"),
    ((), ("monitor=val_loss",), 2, "resume_allow: monitor cannot change within a run."),
    ((), ("data.images=60", "data"), 0, "the data have changed"),
    ((), ("data.size=16", "data"), 0, "data.size: 12 before, 16 now"),
    ((), ("data.val=0.3", "data"), 0, ""),
    ((), ("data.normalise=mean", "data"), 0, ""),
    ((), ("data.grey=true", "data"), 4, "does not fit this run: with data.grey: False before, True now"),
    ((), ("data.classes=4", "data"), 4, "was trained on other classes than these data have"),
]
"""How the run was begun, what is changed, how it ends, and what it says. A bare room is allowed as a whole."""
UNTRIED = {"compile", "plugins"}  # the first takes a minute, the second changes nothing by itself


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize(("words", "changes", "code", "said"), CHANGES)
def test_any_setting_may_change_when_that_is_allowed_or_is_refused_in_words(
    going_on: Callable[..., Ended], words: Sequence[str], changes: Sequence[str], code: int, said: str
) -> None:
    ended = going_on(words, *changes)
    assert ended.code == code, ended.err
    assert said in (ended.err if code else ended.out)
    assert code != 4 or len(ended.err.splitlines()) == 1


def test_every_setting_and_every_room_is_tried() -> None:
    tried = {change.partition("=")[0] for _, changes, _, _ in CHANGES for change in changes}
    free = {each.name for each in fields(Settings)} - HARMLESS_ON_RESUME - UNTRIED
    assert free <= tried and {*registry.REGISTRIES} - {"finetune", "task"} <= {key.partition(".")[0] for key in tried}


@pytest.mark.row(18)
@pytest.mark.parametrize("key", FIXED_ON_RESUME)
def test_what_can_never_change_within_a_run_is_refused_by_the_check(train: Command, key: str) -> None:
    ended = train("name=x", "resume=auto", f"resume_allow=[{key}]")
    assert ended.code == 2
    assert ended.err == f"resume_allow: {key} cannot change within a run. Start a new one, with model.weights=FILE.\n"


def test_another_model_is_refused_before_the_data_are_read(train: Command, tmp_path: Path) -> None:
    words = [word for word in SMALL if not word.startswith("model.")]
    assert train(*words, "model=mlp", "model.image_size=12", "epochs=1", tiny=False).code == 0
    ended = train(*words, "model=lenet", "epochs=2", "resume=auto", "resume_allow=[model]", tiny=False)
    assert ended.code == 2 and "  model.name: mlp before, lenet now\n" in ended.err
    assert "resume_allow" not in ended.err


@pytest.mark.slow
def test_what_a_plateau_has_left_of_the_rate_is_not_the_next_schedules(train: Command, tmp_path: Path) -> None:
    words = (*SMALL, "optim.lr=1e-30", "resume=auto", "epochs=4")  # no epoch is better than the first
    assert train(*words, "sched=plateau", "sched.patience=1", tiny=False).code == 0
    ended = train(*words, "sched=constant", "epochs=5", "resume_allow=[sched]", tiny=False)
    assert ended.code == 0, ended.err
    rates = [line["lr"] for line in lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")]
    assert rates == [pytest.approx(rate, rel=1e-9, abs=0) for rate in (1e-30, 1e-30, 1e-31, 1e-32, 1e-30)]
