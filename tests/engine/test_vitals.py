"""What is noted beside the scores is what it says, stays away from what is learnt, and outlives a kill."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shared import Ended, lines_of
from small_loop import CPU, Deaf, Fixed, Pair, batches, begin, recipe, run
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer.doctor.history import Layer, Vitals
from trainer.engine.evaluate import evaluate
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Plan, fit
from trainer.engine.state import State
from trainer.engine.watching import Activations
from trainer.finetune.freezing import Freezing
from trainer.model.staged import Chain
from trainer.registry import MODELS

Train = Callable[..., Ended]


def staged() -> Chain:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5))
    return Chain(body=body, head=nn.Linear(16, 3))


class Keeping(Deaf):
    """Keeps the weights after every step, too."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.weights = [self._now(state)]
        self.norms: list[float] = []

    def step(self, state: State) -> None:
        self.weights.append(self._now(state))

    def logged(self, state: State, *rest: Any) -> None:
        super().logged(state, *rest)
        self.norms.append(float(state.gradient_norm))

    @staticmethod
    def _now(state: State) -> dict[str, Tensor]:
        return {name: each.detach().clone().double() for name, each in state.model.named_parameters()}


def watched(state: State, fixed: Fixed, how: Any, *, epochs: int = 2, **plan: Any) -> Keeping:
    observer = Keeping(state)
    fit(state, fixed, fixed, how, Plan(epochs, look_every=1, **plan), observer, Interrupt())
    return observer


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    return [dict(line) for line in lines_of(folder / "metrics.jsonl", "epoch")]


@pytest.mark.slow
def test_the_first_epoch_of_a_run_is_told_of_at_steps_that_double(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "log_every=5", "epochs=3").code == 0
    lines = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "step")
    assert [line["step"] for line in lines] == [1, 2, 4, 5, 10, 15]
    assert all(line["gradient_norm"] > 0 for line in lines)  # type: ignore[operator]


@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_a_step_line_has_the_norm_of_all_gradients_before_they_are_clipped(clip_norm: float | None) -> None:
    fixed, net = batches(4), nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))
    observer = watched(begin(net_of(net)), fixed, recipe(clip_norm=clip_norm), epochs=1)
    norms = []
    for weights, pair in zip(observer.weights, fixed.pairs, strict=False):
        twin = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3)).double()
        twin.load_state_dict({name.removeprefix("net."): each for name, each in weights.items()})
        cross_entropy(twin(pair.images.double()), pair.labels).backward()
        norms.append(math.sqrt(sum(float(each.grad.square().sum()) for each in twin.parameters())))  # type: ignore[union-attr]
    assert [step for step, _ in observer.logs] == [1, 2, 4]
    assert observer.norms == pytest.approx([norms[0], norms[1], norms[3]], rel=1e-5)
    assert observer.reports[0].vitals.gradient_norm == pytest.approx(norms[3], rel=1e-5)


def net_of(net: nn.Module) -> Chain:
    return Chain(net=net)


def test_an_update_is_what_the_last_step_of_the_epoch_changed_of_each_stage() -> None:
    observer = watched(begin(staged()), batches(4), recipe(), epochs=2)
    for report, last in zip(observer.reports, (4, 8), strict=True):
        before, after = observer.weights[last - 1], observer.weights[last]
        wanted = {}
        for stage in ("body", "head"):
            names = [name for name in before if name.startswith(stage)]
            moved, there = (
                math.sqrt(sum(float(each.square().sum()) for each in side))
                for side in ([after[name] - before[name] for name in names], [before[name] for name in names])
            )
            wanted[stage] = moved / there
        assert report.vitals.updates == pytest.approx(wanted, rel=1e-4)


def test_a_stage_that_is_frozen_is_not_changed() -> None:
    observer = watched(
        begin(staged()), batches(2), recipe(begin_epoch=Freezing(lambda epoch: 1, "frozen", ())), epochs=1
    )
    updates = observer.reports[0].vitals.updates
    assert updates["body"] == 0.0 and updates["head"] > 0


def test_a_stage_that_groups_modules_is_called_by_the_first() -> None:
    from trainer.engine.watching import _names

    model = MODELS.builder("backbone")(3, 3, arch="resnet18")
    assert _names(model) == ["net.conv1", "net.layer1", "net.layer2", "net.layer3", "net.layer4", "net.fc"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_looking_changes_no_bit_of_what_is_learnt(precision: str) -> None:
    states, logs = [], []
    for look_every in (0, 3):
        state = begin(staged(), precision=precision, averaging=True)
        logs.append(run(state, batches(4), recipe(precision, ema=0.9), log_every=3, look_every=look_every).logs)
        states.append(state)
    assert logs[0] == logs[1]
    plain, looked = (state.state_dict() for state in states)
    for part in ("model", "averaged"):
        assert all(torch.equal(plain[part][name], looked[part][name]) for name in plain[part])
    assert torch.equal(plain["sums"], looked["sums"])
    assert math.isinf(plain["gradient_norm"]) and looked["gradient_norm"] > 0  # the control: one of them did look


def activations_of(model: nn.Module, images: Tensor, every: int, batch_size: int = 3) -> tuple[Layer, ...]:
    """As validation calls the model, with batches that the images to look at do not fall evenly into."""
    from small_loop import Plain

    from trainer.engine.precision import Precision

    pairs = [Pair(each, torch.zeros(len(each), dtype=torch.int64)) for each in images.split(batch_size)]
    with Activations(model, every) as activations:
        evaluate(model, pairs, Plain(), Precision("fp32", CPU))  # type: ignore[arg-type]
    return activations.read()


@pytest.mark.parametrize("every", [1, 2, 5])
def test_activations_are_those_of_every_so_manyth_validation_image(every: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 6), nn.Tanh())
    with torch.no_grad():
        model[0].bias[2:4] = -100.0  # type: ignore[index]
    images = torch.randn(11, 1, 5, 5)
    found = activations_of(model, images, every)
    looked_at = model.double()(images[::every].double())
    rectified = model[:2](images[::every].double())
    assert [layer.name for layer in found] == ["1", "4"]
    for layer, values in zip(found, (rectified, looked_at), strict=True):
        numbers = values.detach().numpy()
        assert (layer.mean, layer.std) == pytest.approx((numbers.mean(), numbers.std()), rel=1e-5)
    assert (found[0].dead, found[1].dead) == (0.25, 0.0)


def test_a_layer_that_is_called_twice_is_told_of_twice_and_none_stays_listened_to() -> None:
    model = MODELS.builder("backbone")(3, 3, arch="resnet18")
    found = activations_of(model, torch.randn(2, 3, 32, 32), 1)
    assert [layer.name for layer in found[:3]] == ["net.relu", "net.layer1.0.relu", "net.layer1.0.relu (2)"]
    assert len(found) == 17
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class Gated(nn.Module):
    """Its gates are no images: one is a number, and there are as many others as images in a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.gate = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Sigmoid()
        self.all, self.each = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(3))

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images) * self.gate(self.all) * self.gate(self.each)  # type: ignore[no-any-return]


def test_an_activation_of_what_is_no_image_is_not_told_of_and_ends_no_run() -> None:
    assert [layer.name for layer in activations_of(Gated(), torch.randn(6, 3), 1)] == ["net.1"]


class Slow(Fixed):
    """Each batch takes 10 ms to come."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Pair]:
        for pair in super().epoch(epoch, start):
            time.sleep(0.01)
            yield pair


def test_the_share_of_the_time_in_which_batches_are_waited_for_is_told() -> None:
    observer = watched(begin(staged()), Slow(batches(8).pairs), recipe(), epochs=1)
    report = observer.reports[0]
    assert report.vitals.waited is not None and report.vitals.waited * report.train_seconds >= 0.08
    assert report.vitals.waited < 1


def test_an_epoch_that_goes_on_after_its_last_step_has_waited_for_no_batch() -> None:
    state = begin(staged())
    state.step = 8
    assert watched(state, batches(8), recipe(), epochs=1).reports[0].vitals.waited is None


def test_records_have_the_vitals_of_every_epoch_as_the_doctor_reads_them(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "ema=0.9").code == 0
    for line in epochs_of(tmp_path / "outputs" / "x"):
        vitals = line["vitals"]
        assert {*vitals, "waited"} == {field.name for field in fields(Vitals)}  # lines_of takes out what is a time
        assert [layer["name"] for layer in vitals["layers"]] == ["stem.2", "stage1.1.2", "stage1.2.2"]
        assert all(Layer(**layer).std > 0 for layer in vitals["layers"])
        assert [*vitals["updates"]] == ["stem", "stage1", "head"] and vitals["gradient_norm"] > 0
        hits = np.dot(vitals["recall"], [1, 1, 1]) / 3  # three in nine images each
        assert hits == pytest.approx(line["val_accuracy"], abs=1e-3)
        assert 1 / 3 <= vitals["commonest"] <= 1


@pytest.mark.slow
def test_a_run_killed_between_the_last_step_and_validation_notes_what_an_unbroken_one_does(
    spawn: Train, train: Train, tmp_path: Path
) -> None:
    words = ("save_every=1", "data.cache_dir=kept")
    assert train("name=whole", *words).code == 0
    assert spawn("name=killed", *words, fault="kill@validation=2").code == -9
    assert train("name=killed", "resume=auto", *words).code == 0
    whole, killed = (
        lines_of(tmp_path / "outputs" / name / "metrics.jsonl", "step", "epoch") for name in ("whole", "killed")
    )
    assert whole == killed and whole[-1]["vitals"]["updates"]["head"] > 0  # type: ignore[index]


@pytest.mark.slow
def test_a_head_that_is_fitted_at_once_has_no_gradient_to_tell_of(train: Train, tmp_path: Path) -> None:
    assert train("name=body").code == 0
    weights = tmp_path / "outputs" / "body" / "checkpoints" / "best.pt"
    ended = train("name=x", "finetune=probe", f"model.weights={weights}", "model.head_init=zero")
    assert ended.code == 0, ended.err
    (line,) = epochs_of(tmp_path / "outputs" / "x")
    assert line["vitals"]["gradient_norm"] is None and line["vitals"]["updates"] == {}
    assert len(line["vitals"]["layers"]) == 3


@pytest.mark.parametrize("words", [(), ("task=multi",)])
def test_run_json_counts_the_training_images_of_each_class(
    train: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert train("name=x", "epochs=1", *words).code == 0
    about = json.loads((tmp_path / "outputs" / "x" / "run.json").read_text())
    counts = about["images_of_each"]
    assert len(counts) == 3
    assert (sum(counts) == about["images"]["train"]) == (not words)
