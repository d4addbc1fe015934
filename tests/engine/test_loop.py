"""The loop against loops written by hand, on the CPU: fp32, bf16 and fp16 with its scaler."""

import ast
import inspect
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_loop import CPU, Deaf, Fixed, Pair, Plain, batches, begin, net, recipe, run
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer.engine import loop
from trainer.engine.evaluate import evaluate
from trainer.engine.health import note
from trainer.engine.interrupt import Interrupt, Interrupted
from trainer.engine.loop import Plan, fit, train_epoch
from trainer.engine.precision import Precision
from trainer.engine.state import State
from trainer.errors import DivergedError
from trainer.rng import seed_of


def weights_of(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def by_hand(fixed: Fixed, *, epochs: int, clip: float | None = None, dropout: float = 0.0) -> nn.Module:
    """What the loop should do, as a reader would write it."""
    model = net(dropout=dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step = 0
    for _ in range(epochs):
        for pair in fixed.pairs:
            torch.manual_seed(seed_of(0, step, "layers"))
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
            optimizer.zero_grad()
            cross_entropy(model(pair.images), pair.labels).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            step += 1
    return model


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_loop_does_what_a_loop_by_hand_does(clip: float | None, dropout: float) -> None:
    fixed, state = batches(6), begin(net(dropout=dropout))
    run(state, fixed, recipe(clip_norm=clip))
    torch.testing.assert_close(
        weights_of(state.model), weights_of(by_hand(fixed, epochs=2, clip=clip, dropout=dropout))
    )
    assert not torch.allclose(weights_of(state.model), weights_of(by_hand(fixed, epochs=1, clip=clip, dropout=dropout)))


@pytest.mark.parametrize(("said", "modes"), [(False, []), (True, [None]), ("reduce-overhead", ["reduce-overhead"])])
def test_a_model_is_compiled_in_the_mode_that_was_said(
    said: bool | str, modes: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def compile(model: nn.Module, mode: str | None) -> nn.Module:
        seen.append(mode)
        return model

    monkeypatch.setattr(torch, "compile", compile)
    state = begin(net())
    next(train_epoch(state, batches(1), recipe(compile=said), Interrupt()))
    assert seen == modes


def test_accumulated_batches_make_the_step_of_one_large_batch() -> None:
    small = batches(8, size=4)
    large = Fixed(
        [
            Pair(torch.cat([a.images, b.images]), torch.cat([a.labels, b.labels]))
            for a, b in zip(small.pairs[::2], small.pairs[1::2], strict=True)
        ]
    )
    accumulated, whole = begin(net()), begin(net())
    run(accumulated, Fixed(small.pairs, [2, 2, 2, 2]), recipe())
    run(whole, large, recipe())
    assert accumulated.step == whole.step == 8
    torch.testing.assert_close(weights_of(accumulated.model), weights_of(whole.model))


def test_a_step_of_fewer_batches_than_the_others_is_a_step() -> None:
    fixed, state = Fixed(batches(7).pairs, [3, 2, 2]), begin(net())
    assert loop.steps_per_epoch(fixed) == 3
    assert list(train_epoch(state, fixed, recipe(), Interrupt())) == [24, 16, 16]
    assert state.step == 3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_learns_what_full_precision_learns(precision: str) -> None:
    fixed, full, low = batches(6), begin(net()), begin(net(), precision=precision)
    run(full, fixed, recipe(), epochs=3)
    run(low, fixed, recipe(precision), epochs=3)
    assert all(parameter.dtype is torch.float32 for parameter in low.model.parameters())
    torch.testing.assert_close(weights_of(low.model), weights_of(full.model), atol=0.02, rtol=0.05)
    assert not torch.equal(weights_of(low.model), weights_of(full.model))


def test_an_overflowed_fp16_step_is_skipped_counted_and_survived() -> None:
    fixed, state = batches(4), begin(net(), precision="fp16")
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**30})  # far above what fp16 can hold
    before = weights_of(state.model).clone()
    steps = train_epoch(state, fixed, recipe("fp16"), Interrupt())
    next(steps)
    assert state.skipped_steps == 1
    assert torch.equal(weights_of(state.model), before)
    assert state.scaler.get_scale() == 2.0**29
    run(state, fixed, recipe("fp16"), epochs=10)
    assert state.skipped_steps < 40 and weights_of(state.model).isfinite().all()
    assert not torch.equal(weights_of(state.model), before)


def test_averaged_weights_follow_the_formula_and_are_what_is_evaluated() -> None:
    fixed, state, how = batches(5), begin(net(), averaging=True), recipe(ema=0.6)
    expected = weights_of(state.model).double()
    for step, _ in enumerate(train_epoch(state, fixed, how, Interrupt())):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights_of(state.model).double()
    torch.testing.assert_close(weights_of(state.selected_model).double(), expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(weights_of(state.selected_model), weights_of(state.model), atol=1e-4)
    fresh = begin(net(), averaging=True)
    report = run(fresh, fixed, how, epochs=1).reports[0]
    assert report.val == evaluate(fresh.selected_model, fixed, Plain(), Precision("fp32", CPU))
    assert report.val != evaluate(fresh.model, fixed, Plain(), Precision("fp32", CPU))


def test_averaging_follows_batch_norm_statistics_and_copies_counters() -> None:
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3))
    state = begin(model, averaging=True)
    run(state, batches(5), recipe(ema=0.5), epochs=1)
    ours, theirs = state.model[1], state.selected_model[1]  # type: ignore[index]
    assert int(theirs.num_batches_tracked) == int(ours.num_batches_tracked) == 5
    assert 0 < float((theirs.running_mean - ours.running_mean).abs().max()) < float(ours.running_mean.abs().max())


def test_evaluation_gives_the_mean_over_samples_and_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    pairs = batches(2).pairs
    uneven = Fixed([pairs[0], Pair(pairs[1].images[:3], pairs[1].labels[:3])])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    scores = evaluate(model, uneven, Plain(), Precision("fp32", CPU))
    images, labels = torch.cat([each.images for each in uneven]), torch.cat([each.labels for each in uneven])
    logits = model.eval()(images).detach().double()
    log_probabilities = logits - logits.exp().sum(1, keepdim=True).log()
    assert scores.loss == pytest.approx(-log_probabilities[range(11), labels].mean().item(), rel=1e-6)
    assert scores.score == pytest.approx(float((logits.argmax(1) == labels).double().mean()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_first_step_and_the_rate() -> None:
    fixed = batches(6)
    fixed.pairs[3] = Pair(fixed.pairs[3].images * math.inf, fixed.pairs[3].labels)
    observer = Deaf()
    with pytest.raises(DivergedError, match=r"finite from step 4 on \(loss .*, learning rate .*clip_norm"):
        fit(begin(net()), fixed, fixed, recipe(), Plan(2), observer, Interrupt())
    assert observer.saves == []


def test_a_validation_loss_that_is_not_a_number_stops_the_run_before_anything_is_saved() -> None:
    fixed, state = batches(2), begin(net())
    poisoned = Fixed([Pair(fixed.pairs[0].images * math.nan, fixed.pairs[0].labels)])
    observer = Deaf()
    with pytest.raises(DivergedError, match="validation loss is not a finite number after step 2"):
        fit(state, fixed, poisoned, recipe(), Plan(2), observer, Interrupt())
    assert state.best is None and observer.saves == []


@pytest.mark.parametrize("save_every", [0, 1])
def test_an_update_that_ruins_the_weights_is_never_saved(save_every: int) -> None:
    fixed, state, observer = batches(3), begin(net(), lr=1e37), Deaf()
    fixed.pairs[2] = Pair(fixed.pairs[2].images * 1e4, fixed.pairs[2].labels)
    last_step_ruins = replace(recipe(), schedule=lambda step: 9.0 if step == 2 else 0.0)
    with pytest.raises(DivergedError, match="weights are not finite numbers after step 3"):
        fit(state, fixed, fixed, last_step_ruins, Plan(2, save_every=save_every), observer, Interrupt())
    assert [step for step, _ in observer.saves] == ([1, 2] if save_every else [])


def test_early_stop_ends_the_run_after_so_many_epochs_without_progress() -> None:
    state = begin(net())
    frozen = replace(recipe(), schedule=lambda step: 0.0)
    run(state, batches(2), frozen, epochs=9, early_stop=3)
    assert (state.epoch, state.best_epoch, state.stale_epochs) == (4, 4, 3), "the later of equals, but no progress"


def test_the_best_epoch_is_the_one_with_the_best_monitored_score() -> None:
    state = begin(net(), lr=2.0)
    observer = run(state, batches(4), recipe(), epochs=6, by_loss=True)
    losses = [report.val.loss for report in observer.reports]
    assert state.best_epoch == losses.index(min(losses)) + 1
    assert state.best == (-min(losses), observer.reports[state.best_epoch - 1].val.score)
    assert [step for step, is_best in observer.saves if is_best][-1] == state.best_step


def test_step_lines_average_what_came_since_the_line_before() -> None:
    fixed = batches(4)
    frozen = replace(recipe(), schedule=lambda step: 0.0)
    logs = run(begin(net()), fixed, frozen, epochs=1, log_every=2).logs
    singles = [evaluate(net(), Fixed([pair]), Plain(), Precision("fp32", CPU)).loss for pair in fixed.pairs]
    assert [step for step, _ in logs] == [1, 2, 4]
    assert [scores.loss for _, scores in logs[:2]] == pytest.approx(singles[:2], rel=1e-5)
    assert logs[2][1].loss == pytest.approx((singles[2] + singles[3]) / 2, rel=1e-5)


@pytest.mark.parametrize("stop_at", [1, 3, 4, 7])
def test_a_state_that_was_saved_and_loaded_goes_on_bit_for_bit(stop_at: int, tmp_path: Any) -> None:
    def fresh() -> State:
        return begin(net(dropout=0.5), precision="fp16", averaging=True)

    fixed, how, plan = batches(4), recipe("fp16", ema=0.9), Plan(2, log_every=3)
    unbroken, broken = fresh(), fresh()
    whole = Deaf()
    fit(unbroken, fixed, fixed, how, plan, whole, Interrupt())

    class StopsThere(Interrupt):
        def check(self) -> None:
            if broken.step == stop_at:
                raise Interrupted(15)

    with pytest.raises(Interrupted):
        fit(broken, fixed, fixed, how, plan, Deaf(), StopsThere())
    torch.save(broken.state_dict(), tmp_path / "state.pt")
    resumed, rest = fresh(), Deaf()
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fit(resumed, fixed, fixed, how, plan, rest, Interrupt())
    assert torch.equal(weights_of(resumed.model), weights_of(unbroken.model))
    assert torch.equal(weights_of(resumed.selected_model), weights_of(unbroken.selected_model))
    assert [each.train for each in rest.reports] == [each.train for each in whole.reports][-len(rest.reports) :]
    assert rest.logs == [each for each in whole.logs if each[0] > stop_at]


def test_the_training_step_fits_on_one_screen_and_reads_nothing_from_the_device() -> None:
    assert len(inspect.getsource(train_epoch).splitlines()) <= 45
    calls = [
        node.func.attr
        for part in (train_epoch, note)
        for node in ast.walk(ast.parse(inspect.getsource(part)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert "backward" in calls  # the walk does find calls
    assert not {"item", "cpu", "tolist", "numpy"} & set(calls)
