"""Torture, rows 22 to 25, 33 and 38: losses that are no numbers, overflow, divergence, wrong labels, no memory left."""

import json
import math
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL._util import DeferredError
from shared import Ended, Poison, idx_bytes, lines_of, write_idx
from torch import Tensor, nn

from trainer import registry
from trainer.commands import train as train_command
from trainer.engine import loop
from trainer.engine.checkpoint import Checkpoints, SaveError, load
from trainer.engine.health import FAR, PATIENCE, alarm, is_far_off, note
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Recipe, train_epoch
from trainer.engine.precision import Precision
from trainer.engine.state import State
from trainer.feed.batches import Batch
from trainer.loss.cross_entropy import cross_entropy
from trainer.registry import OPTIMS
from trainer.report import chart
from trainer.run.diverged import go_back

Train = Callable[..., Ended]
Golden = Callable[..., None]
Change = Callable[[State], object]
CPU = torch.device("cpu")
NUMBERS = (r"(?<=gradient norm )[\d.e+]+(?=,)", r"(?<=loss )\d[\d.e+]+(?=,)")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    poison = Poison()
    monkeypatch.setattr(loop, "_groups", poison.groups(loop._groups))
    return poison


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Change], None]:
    """Changes the state once after the step of this number, which the loop and its observers have seen by then."""

    def after(step: int, change: Change) -> None:
        def meddled(state: State, batches: Any) -> Iterator[Sequence[Batch]]:
            for group in chain(groups(state, batches), [None]):
                if state.step in due:
                    due.remove(state.step)
                    change(state)
                if group is not None:
                    yield group

        due, groups = [step], loop._groups
        monkeypatch.setattr(loop, "_groups", meddled)

    return after


def ruin(state: State) -> None:
    """As a gradient does that is not finite, and is not the first layer's."""
    nn.init.constant_(list(state.model.parameters())[-1], math.nan)


def be_far_off(state: State) -> None:
    """As a loss does that is far above where it began."""
    state.streaks = torch.tensor([0, 3])


def summary_of(tmp_path: Path, name: str = "x") -> dict[str, Any]:
    return json.loads((tmp_path / "outputs" / name / "summary.json").read_text())


def last_of(tmp_path: Path, name: str = "x") -> dict[str, Any]:
    return load(tmp_path / "outputs" / name / "checkpoints" / "last.pt")


def kept_in(tmp_path: Path, name: str = "x") -> list[str]:
    return sorted(path.name for path in (tmp_path / "outputs" / name / "checkpoints").glob("epoch*.pt"))


def same(one: Any, other: Any) -> bool:
    """Whether two states are the same to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


@pytest.mark.row(22)
def test_a_loss_that_is_not_finite_stops_the_run_at_that_step_and_keeps_the_last_good_checkpoint(
    train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    poison.steps += [10]
    ended = train("name=x", "save_every=1", "epochs=3", "clip_norm=1")
    assert ended.code == 6
    golden("row22_stop", ended.err)
    last, summary = last_of(tmp_path), summary_of(tmp_path)
    assert (last["step"], summary["status"], summary["exit_code"]) == (9, "failed", 6)
    assert all(tensor.isfinite().all() for tensor in last["model"].values())
    assert last["best"] is not None and all(map(math.isfinite, last["best"]))
    events = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")
    assert [line["event"] for line in events] == ["failed"]
    assert f"{events[0]['message']}\n" == ended.err


@pytest.mark.row(22)
@pytest.mark.parametrize("words", [("batch_size=16",), ("batch_size=4", "accumulate=2")])
def test_the_images_that_are_named_are_those_of_the_step(words: tuple[str, ...], train: Train, poison: Poison) -> None:
    poison.steps += [9]
    ended = train("name=x", *words, "epochs=3")
    assert len(poison.names) > 6
    assert f"images {', '.join(poison.names[:3])} and {len(poison.names) - 3} more." in ended.err


@pytest.mark.row(22)
def test_skipped_steps_are_counted_and_told_and_the_run_ends_well(
    train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    poison.steps += [2, 8, 9]
    ended = train("name=x", "on_nonfinite=skip", "ema=0.9")
    assert ended.code == 0
    summary, last = summary_of(tmp_path), last_of(tmp_path)
    assert (summary["skipped_steps"], summary["steps"], summary["rollbacks"]) == (3, 12, 0)
    assert all(tensor.isfinite().all() for kind in ("model", "averaged") for tensor in last[kind].values())
    golden("row22_skip", "".join(line + "\n" for line in ended.out.splitlines() if "left out" in line))


@pytest.mark.row(22)
def test_skipping_is_refused_where_there_is_no_gradient_scaler(train: Train) -> None:
    ended = train("on_nonfinite=skip", "device=mps")
    assert ended.code == 2 and "on_nonfinite: skip needs a gradient scaler, which mps lacks" in ended.err


@pytest.mark.slow
@pytest.mark.row(22)
def test_where_nothing_is_amiss_skip_and_rollback_train_what_stop_trains(train: Train, tmp_path: Path) -> None:
    for policy in ("stop", "skip", "rollback"):
        assert train(f"name={policy}", f"on_nonfinite={policy}", "ema=0.9", "clip_norm=1", "epochs=1").code == 0
    states = [last_of(tmp_path, policy) for policy in ("stop", "skip", "rollback")]
    for kind in ("model", "averaged", "optimizer", "sums", "best"):
        assert same(states[1][kind], states[0][kind]) and same(states[2][kind], states[0][kind])


@pytest.mark.slow
@pytest.mark.row(22)
def test_too_many_skipped_steps_in_a_row_stop_the_run(
    train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    poison.steps += [*range(3, 22), *range(23, 60)]  # 19 in a row are borne, 20 are not
    ended = train("name=x", "on_nonfinite=skip", "epochs=9", "log_every=1")
    assert ended.code == 6
    golden("row22_skip_too_many", ended.err)
    assert summary_of(tmp_path)["steps"] == 42
    assert all(tensor.isfinite().all() for tensor in last_of(tmp_path)["model"].values())


@pytest.mark.slow
@pytest.mark.row(22)
def test_a_rollback_goes_on_from_the_last_good_checkpoint_with_half_the_rate(
    train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    assert train("name=plain", "log_every=1").code == 0
    poison.steps += [10]
    ended = train("name=x", "on_nonfinite=rollback", "log_every=1", "save_every=4")
    assert ended.code == 0
    told = [line for line in ended.out.splitlines() if "with half the rate" in line]
    golden("row22_rollback", "".join(line + "\n" for line in told))
    assert summary_of(tmp_path)["rollbacks"] == 1 and last_of(tmp_path)["rollbacks"] == 1
    plain, back = [lines_of(tmp_path / "outputs" / name / "metrics.jsonl", "step") for name in ("plain", "x")]
    assert [line["step"] for line in back] == list(range(1, 13))
    halves = [0.5 if line["step"] > 8 else 1.0 for line in plain]
    assert [line["lr"] for line in back] == [line["lr"] * half for line, half in zip(plain, halves, strict=True)]
    assert back[:8] == plain[:8]
    events = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")
    assert [(line["event"], line["step"], line["message"]) for line in events] == [("rolled back", 8, told[0])]


@pytest.mark.slow
@pytest.mark.row(22)
def test_a_run_that_is_killed_right_after_a_rollback_ends_as_if_it_had_not_been(
    train: Train, tmp_path: Path, poison: Poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("on_nonfinite=rollback", "save_every=4", "ema=0.9")
    poison.steps += [10]
    assert train("name=unbroken", *words).code == 0

    def killed(*arguments: Any) -> str:
        go_back(*arguments)
        raise SystemExit("killed")

    poison.steps += [10]
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="killed"):
        patch.setattr(train_command, "go_back", killed)
        train("name=x", *words)
    assert (last_of(tmp_path)["step"], last_of(tmp_path)["rollbacks"]) == (8, 1)
    assert train("name=x", *words, "resume=auto").code == 0
    one, other = last_of(tmp_path), last_of(tmp_path, "unbroken")
    assert one["rollbacks"] == 1 and same(one, other)


@pytest.mark.slow
@pytest.mark.row(24)
def test_the_fourth_divergence_is_the_end(train: Train, tmp_path: Path, golden: Golden) -> None:
    ended = train("name=x", "on_nonfinite=rollback", "optim=sgd", "optim.lr=1e20", "sched=constant", "log_every=1")
    assert ended.code == 6
    golden("row24_rollback_in_vain", ended.err, *NUMBERS)
    assert (summary_of(tmp_path)["rollbacks"], last_of(tmp_path)["step"]) == (3, 0)
    assert all(tensor.isfinite().all() for tensor in last_of(tmp_path)["model"].values())


@pytest.mark.slow
@pytest.mark.row(24)
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_loss_that_stays_far_above_its_start_stops_the_run_and_names_a_tenth_of_the_rate(
    policy: str, train: Train, tmp_path: Path, golden: Golden
) -> None:
    ended = train("name=x", f"on_nonfinite={policy}", "optim.lr=1000", "sched=constant", "clip_norm=1", "epochs=9")
    assert ended.code == 6
    golden("row24_diverged", ended.err, *NUMBERS, r"(?<=made of the images ).*?(?= and)", r"(?<=above )[\d.]+")
    assert "optim.lr=100 " in ended.err
    assert summary_of(tmp_path)["best"] is None


@pytest.mark.slow
@pytest.mark.row(22)
def test_where_every_step_was_left_out_the_records_have_no_number(train: Train, tmp_path: Path, poison: Poison) -> None:
    poison.steps += [2, *range(7, 13)]
    ended = train("name=x", "on_nonfinite=skip", "log_every=1")
    assert ended.code == 0 and "was not drawn" not in ended.out
    steps, epochs = [lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", kind) for kind in ("step", "epoch")]
    for score in ("loss", "accuracy"):
        assert [line["step"] for line in steps if line[score] is None] == [2, *range(7, 13)]
        assert [line[f"train_{score}"] is None for line in epochs] == [False, True]
        assert None not in [line[f"val_{score}"] for line in epochs]


@pytest.mark.slow
@pytest.mark.row(4)
@pytest.mark.row(22)
def test_a_signal_does_not_save_weights_that_are_no_numbers(
    train: Train, tmp_path: Path, meddle: Callable[..., None], golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(8, ruin)
    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")
    ended = train("name=x")
    assert ended.code == 6
    golden("row04_stopped_diverged", ended.err)
    assert last_of(tmp_path)["step"] == 6
    monkeypatch.delenv("TRAINER_FAULT")
    assert train("name=x", "resume=auto").code == 0


@pytest.mark.slow
@pytest.mark.row(4)
@pytest.mark.row(22)
def test_a_signal_after_a_divergence_stops_the_run_after_the_rollback(
    train: Train, tmp_path: Path, meddle: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(8, ruin)
    assert train("name=unbroken", "on_nonfinite=rollback").code == 0
    meddle(8, ruin)
    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")
    ended = train("name=x", "on_nonfinite=rollback")
    assert ended.code == 143 and "Back to step 6 with half the rate, rollback 1 of 3 at most." in ended.out
    assert ended.err.startswith("Stopped by SIGTERM after step 6; all is saved. ")
    monkeypatch.delenv("TRAINER_FAULT")
    assert train("name=x", "on_nonfinite=rollback", "resume=auto").code == 0
    one, other = last_of(tmp_path), last_of(tmp_path, "unbroken")
    assert one["rollbacks"] == 1 and same(one, other)


@pytest.mark.slow
@pytest.mark.row(4)
@pytest.mark.row(24)
def test_a_signal_does_not_save_a_state_whose_loss_is_far_off(
    train: Train,
    tmp_path: Path,
    unbroken: Path,
    meddle: Callable[..., None],
    golden: Golden,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meddle(8, be_far_off)
    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")
    ended = train("name=x")
    assert ended.code == 143
    golden("row04_stopped_far_off", ended.err)
    assert last_of(tmp_path)["step"] == 6
    monkeypatch.delenv("TRAINER_FAULT")
    assert train("name=x", "resume=auto").code == 0
    assert same(last_of(tmp_path), load(unbroken / "checkpoints" / "last.pt"))


@pytest.mark.slow
@pytest.mark.row(24)
def test_a_run_that_ends_far_off_saves_and_keeps_nothing_of_that(
    train: Train, tmp_path: Path, meddle: Callable[..., None]
) -> None:
    meddle(12, be_far_off)
    assert train("name=x", "keep_every=1").code == 0
    assert (summary_of(tmp_path)["steps"], last_of(tmp_path)["step"]) == (12, 6)
    assert [name[:7] for name in kept_in(tmp_path)] == ["epoch1_"]


@pytest.mark.slow
@pytest.mark.row(22)
def test_a_rollback_takes_back_what_was_kept_of_later_epochs(
    train: Train, tmp_path: Path, poison: Poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Checkpoints, saved: dict[str, Any]) -> None:
        if (saved["epoch"], saved["rollbacks"]) == (2, 0):
            raise SaveError("the disk is full")
        save_last(self, saved)

    save_last = Checkpoints.save_last
    monkeypatch.setattr(Checkpoints, "save_last", full)
    poison.steps += [14]
    ended = train("name=x", "on_nonfinite=rollback", "keep_every=1", "epochs=3")
    assert ended.code == 0 and "the disk is full" in ended.out and "Back to step 6" in ended.out
    losses = [line["train_loss"] for line in lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")]
    assert [name.partition("_val")[0] for name in kept_in(tmp_path)] == [
        f"epoch{epoch}_loss{loss:.4f}" for epoch, loss in enumerate(losses, start=1)
    ]


@pytest.mark.row(12)
@pytest.mark.row(22)
def test_a_divergence_is_told_though_no_checkpoint_is_whole(
    train: Train, tmp_path: Path, poison: Poison, meddle: Callable[..., None]
) -> None:
    poison.steps += [10]
    meddle(9, lambda state: (tmp_path / "outputs" / "x" / "checkpoints" / "last.pt").write_bytes(b""))
    ended = train("name=x", "epochs=3")
    assert ended.code == 6 and ended.err.startswith("The loss or its gradient is not finite from step 10 on")
    assert " No checkpoint that was written before is whole. Try optim.lr=" in ended.err


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize(
    ("before", "now", "growth_interval"),
    [
        ((), ("precision=fp16",), 2000),
        ((), ("on_nonfinite=skip",), 2**31 - 1),
        (("on_nonfinite=skip",), ("on_nonfinite=skip", "precision=fp16"), 2000),
        (("precision=fp16",), ("precision=fp32",), None),
    ],
)
def test_a_run_goes_on_with_another_gradient_scaler_than_it_was_saved_with(
    before: tuple[str, ...],
    now: tuple[str, ...],
    growth_interval: int | None,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")
    assert train("name=x", *before).code == 143
    monkeypatch.delenv("TRAINER_FAULT")
    ended = train("name=x", *now, "resume=auto", "resume_allow=[precision,on_nonfinite]")
    assert ended.code == 0, ended.err
    scaler = last_of(tmp_path)["scaler"]
    assert scaler.get("growth_interval") == growth_interval
    assert growth_interval is None or (scaler["scale"] > 1) == (growth_interval == 2000)


def noted(losses: Sequence[float]) -> State:
    """The state after steps of these losses, read after none of them."""
    model = nn.Linear(2, 2)
    state = State.begin(
        model, torch.optim.SGD(model.parameters(), 0.1), Precision("fp32", CPU).scaler(), averaging=False
    )
    for loss in losses:
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        note(state, torch.tensor(loss), list(model.parameters()))
        state.step += 1
    return state


@pytest.mark.row(24)
@pytest.mark.parametrize(
    "losses",
    [
        [2.3, *[23.1] * 19, 22.9, *[1e6] * 19, 2.0],  # leaps, and comes down
        [2.3, *[22.9] * 99],  # high, but not far
        [0.001, *[9.0] * 99],  # a trained model begins near zero
        [0.0, 690.0, *[6000.0] * 99],  # a first batch without labels tells nothing of the scale
    ],
)
def test_a_healthy_run_is_never_taken_for_a_diverging_one(losses: list[float]) -> None:
    assert alarm(noted(losses)) is None


@pytest.mark.row(24)
def test_a_divergence_is_found_whenever_it_is_looked_for_and_names_its_first_step() -> None:
    far = [2.3, 2.0, *[2.3 * FAR + 0.1] * PATIENCE]
    found = alarm(noted(far))
    assert found is not None and (found.step, round(found.loss, 3), round(found.norm, 3)) == (3, 23.1, 2.449)
    assert alarm(noted(far[:-1])) is None and is_far_off(noted(far[:-1]))
    assert alarm(noted([*far, 2.0, 2.0])) == replace(found, what=found.what.replace("20 steps", "22 steps"))


def overflowing(precision: str, optimizer: Callable[[nn.Module], torch.optim.Optimizer]) -> tuple[State, Recipe]:
    """A small model with batch norm, averaging, and the scaler that leaves steps out."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    how = Precision(precision, CPU)
    state = State.begin(model, optimizer(model), how.scaler(skip=True), averaging=True)
    criterion = cross_entropy(torch.arange(3), ["a", "b", "c"])
    return state, Recipe(criterion, lambda step: 1.0, how, ema=0.5, clip_norm=1.0)


class Three:
    """Three batches, the last of which may be spoilt."""

    def __init__(self, factor: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(3, 8, 5, generator=generator)
        images[2] *= factor
        labels = torch.randint(0, 3, (3, 8), generator=generator)
        self.batches = [Batch(*each, each[1], torch.arange(8)) for each in zip(images, labels, strict=True)]

    per_step = (1, 1, 1)
    beside = True

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.batches[start:])


KINDS = {"loss": math.nan, "gradient": 1.0, "neither": 1.0}


def changed_by_the_third_step(precision: str, optimizer: str, kind: str) -> tuple[set[str], State]:
    """What of the state is other after a third step in which this was not finite."""
    state, recipe = overflowing(precision, lambda model: OPTIMS.builder(optimizer)(model))
    steps = train_epoch(state, Three(KINDS[kind]), recipe, Interrupt())
    next(steps), next(steps)
    before = deepcopy(state.state_dict())
    if kind == "gradient":
        state.model[0].weight.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[index,union-attr]
    next(steps)
    after = state.state_dict()
    return {name for name in before if not same(before[name], after[name])}, state


@pytest.mark.row(22)
@pytest.mark.row(23)
@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [*(("fp32", name) for name in registry.entries("optim")), ("bf16", "sgd"), ("fp16", "sgd"), ("fp16", "lamb")],
)
def test_a_step_that_is_left_out_changes_nothing_but_its_number(precision: str, optimizer: str, kind: str) -> None:
    changed, state = changed_by_the_third_step(precision, optimizer, kind)
    assert changed - {"scaler"} == {"step", "streaks", "begun", "skipped_steps"}
    assert state.scaler.get_scale() == (2.0**15 if precision == "fp16" else 1.0)
    assert (state.step, int(state.skipped_steps)) == (3, 1) and alarm(state) is None
    healthy, _ = changed_by_the_third_step(precision, optimizer, "neither")
    assert {"model", "averaged", "optimizer", "sums"} <= healthy


@pytest.mark.row(22)
def test_a_gradient_that_overflows_is_noticed_in_its_own_step_though_only_the_first_layer_is_looked_at() -> None:
    state, recipe = overflowing("fp32", lambda model: OPTIMS.builder("sgd")(model))
    state.scaler, recipe = Precision("fp32", CPU).scaler(), replace(recipe, clip_norm=None)
    steps = train_epoch(state, Three(), recipe, Interrupt())
    next(steps)
    assert alarm(state) is None

    def overflow(module: nn.Module, images: Any, maps: Tensor) -> None:
        maps.register_hook(lambda gradient: gradient * math.inf)

    state.model[2].register_forward_hook(overflow)  # type: ignore[index,union-attr]
    next(steps)
    found = alarm(state)
    assert found is not None and found.step == 2 and math.isfinite(found.loss)


@pytest.mark.slow
@pytest.mark.row(23)
def test_overflow_in_fp16_is_counted_and_ends_the_run_after_twenty_in_a_row(
    train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    poison.steps += [2, *range(8, 60)]
    ended = train("name=x", "precision=fp16", "epochs=9")
    assert ended.code == 6
    golden("row23_overflow", ended.err)
    summary, last = summary_of(tmp_path), last_of(tmp_path)
    assert (summary["steps"], summary["skipped_steps"]) == (28, 22)
    assert all(tensor.isfinite().all() for tensor in last["model"].values())  # batch norm's statistics among them


@pytest.mark.row(25)
def test_a_batch_without_a_single_label_has_loss_zero_and_no_gradient() -> None:
    criterion = cross_entropy(torch.arange(3), ["a", "b", "c"], smoothing=0.1)
    logits, ignored = torch.randn(4, 3, requires_grad=True), torch.full((4,), -1)
    loss = loop.reduce(criterion.losses(logits, ignored).sum(), criterion.weights(ignored).sum())
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and not logits.grad.any()


def write_table(folder: Path, labels: Sequence[str]) -> Path:
    rows = ["path,label,split"]
    for number, label in enumerate(labels):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{label},{'train' if number < len(labels) - 4 else 'val'}")
    table = folder / "table.csv"
    table.write_text("\n".join(rows))
    return table


@pytest.mark.slow
@pytest.mark.row(25)
def test_a_run_with_batches_of_ignored_images_only_learns_from_the_others(train: Train, tmp_path: Path) -> None:
    table = write_table(tmp_path, [*["?"] * 12, *["cat", "dog"] * 2, *["cat", "dog"] * 2])
    words = ("data=table", f"data.file={table}", "data.ignore='?'", "model=small_cnn", "model.widths=[4,8]")
    ended = train("name=x", *words, "batch_size=2", "epochs=2", "log_every=1", "device=cpu", tiny=False)
    assert ended.code == 0
    losses = [line["loss"] for line in lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "step")]
    assert 0.0 in losses and any(losses) and None not in losses


@pytest.mark.row(25)
def test_a_label_beyond_the_classes_is_told_with_its_file(train: Train, tmp_path: Path, golden: Golden) -> None:
    write_idx(tmp_path)
    labels = np.zeros(40, dtype=np.uint8)
    labels[7] = 12
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    ended = train("name=x", "data=mnist", f"data.root={tmp_path}", tiny=False)
    assert ended.code == 3
    golden("row25_idx", ended.err)
    table = write_table(tmp_path, [*["cat", "dog"] * 6, "cat", "dog", "cow", "dog"])
    ended = train("name=x", "data=table", f"data.file={table}", tiny=False)
    assert ended.code == 3
    golden("row25_table", ended.err)


@pytest.mark.row(25)
@pytest.mark.parametrize("label", [3, -2])
def test_a_label_beyond_the_classes_from_a_part_of_ones_own_is_told(
    label: int, train: Train, tmp_path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "part_of_ones_own.py").write_text(
        "import torch\n"
        "from trainer.data.source import ArraySamples, Source\n"
        "from trainer.registry import DATA\n"
        "@DATA.register\n"
        "def mine(*, label: int) -> Source:\n"
        "    pixels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)\n"
        "    samples = ArraySamples(pixels, torch.tensor([0, 1, label, 2]), 'abcd')\n"
        "    return Source(('a', 'b', 'c'), samples, samples, None, 8)\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("name: mine\nlabel: 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "part_of_ones_own", raising=False)
    words = ("--config-dir", str(tmp_path), "plugins=[part_of_ones_own]", "data=mine", f"data.label={label}")
    ended = train("name=x", *words, tiny=False)
    assert ended.code == 3
    golden(f"row25_own_{'above' if label > 0 else 'below'}", ended.err)


ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "accelerator": torch.AcceleratorError("CUDA error: out of memory", 2),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
}


@pytest.mark.row(33)
@pytest.mark.parametrize("kind", ERRORS)
def test_running_out_of_memory_is_told_with_what_takes_less(
    kind: str, train: Train, tmp_path: Path, poison: Poison, golden: Golden
) -> None:
    poison.steps, poison.error = [8], ERRORS[kind]
    ended = train("name=x", "epochs=3")
    assert ended.code == 1
    golden("row33_out_of_memory", ended.err)
    assert (summary_of(tmp_path)["status"], last_of(tmp_path)["step"]) == ("failed", 6)


@pytest.mark.row(33)
def test_another_error_of_the_program_is_not_taken_for_it(train: Train, poison: Poison) -> None:
    poison.steps, poison.error = [2], RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train("name=x")


@pytest.mark.row(33)
def test_an_allocation_that_the_system_refuses_is_told_the_same_way(train: Train, golden: Golden) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, limits[1]))
    try:
        ended = train(
            "name=x",
            "data.images=96",
            "data.size=12",
            "device=cpu",
            "precision=fp32",
            "model=mlp",
            "model.width=60000",
            "model.image_size=12",
            tiny=False,
        )
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert ended.code == 1
    golden("row33_before_training", ended.err)


@pytest.mark.row(38)
@pytest.mark.parametrize("fault", ["breaks", "is missing"])
def test_a_picture_that_cannot_be_drawn_leaves_a_finished_run_finished(
    fault: str, train: Train, tmp_path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("no such format")

    if fault == "breaks":
        monkeypatch.setattr(Image.Image, "save", broken)
    else:  # as in a Pillow that was built without FreeType
        monkeypatch.setattr(chart, "ImageFont", DeferredError.new(ImportError("no module _imagingft")))
    ended = train("name=x", "epochs=1")
    assert (ended.code, ended.err) == (0, "")
    told = [line for line in ended.out.splitlines() if "curves.png" in line]
    golden(f"row38_{fault.replace(' ', '_')}", "".join(line + "\n" for line in told))
    assert summary_of(tmp_path)["status"] == "finished"
