"""Schedules against torch's own and against the formulas."""

import math
import warnings
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st
from shared import Ended, lines_of

from trainer import registry, schema
from trainer.errors import ConfigError
from trainer.sched.constant import constant
from trainer.sched.cosine_restarts import cosine_restarts
from trainer.sched.exponential import exponential
from trainer.sched.inverse_time import inverse_time
from trainer.sched.one_cycle import one_cycle
from trainer.sched.plateau import plateau
from trainer.sched.schedule import last_rise
from trainer.sched.step import step as in_steps
from trainer.sched.warmup_cosine import warmup_cosine

STEPS = st.integers(1, 400)
SHARES = st.floats(0.0, 1.0)
WRITTEN = st.one_of(st.floats(0.01, 0.99), st.integers(1, 999).map(lambda number: number / 1000))
"""Shares as people write them, too: with few digits, whose products with a count are often whole."""


def factors_of_torch(scheduler, optimizer, total_steps):
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants optimizer.step() in between
        for _ in range(total_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step() if len(rates) < total_steps else None
    return rates


def optimizer_with(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def test_constant_is_one_at_every_step():
    assert [constant(5)(step) for step in range(5)] == [1.0] * 5


@pytest.mark.parametrize(("total", "warmup"), [(97, 0.3), (200, 0.05), (10, 0.5), (40, 0.99)])
def test_one_cycle_is_the_one_of_torch(total, warmup):
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total, pct_start=warmup, cycle_momentum=False)
    ours = [one_cycle(total, warmup=warmup)(step) for step in range(total)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, total), abs=1e-9)


def test_cosine_without_warmup_is_the_one_of_torch():
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60, eta_min=0.1)
    ours = [warmup_cosine(60, warmup=0.0, end=0.1)(step) for step in range(60)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, 60), abs=1e-9)


def test_warmup_cosine_follows_its_formula_by_hand():
    factor = warmup_cosine(10, warmup=0.2, start=0.5, end=0.1)
    assert [factor(0), factor(1), factor(2)] == [0.5, 0.75, 1.0]
    assert factor(6) == pytest.approx(0.55)  # half way down
    assert factor(10) == pytest.approx(0.1)


@given(STEPS, WRITTEN, SHARES, SHARES)
def test_warmup_cosine_stays_in_range_and_turns_once(total, warmup, start, end):
    factor = warmup_cosine(total, warmup=warmup, start=start, end=end)
    values, warmup_steps = [factor(step) for step in range(total)], math.floor(Fraction(str(warmup)) * total)
    assert all(min(start, end) - 1e-12 <= value <= 1 + 1e-12 for value in values)
    assert all(a <= b + 1e-12 for a, b in pairwise(values[: warmup_steps + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(values[warmup_steps:]))
    assert values[warmup_steps] == 1.0


@given(STEPS, st.floats(0.01, 0.99), SHARES, SHARES)
def test_one_cycle_stays_in_range_and_ends_where_it_says(total, warmup, start, end):
    values = [one_cycle(total, warmup=warmup, start=start, end=end)(step) for step in range(total)]
    assert all(min(start, end) - 1e-12 <= value <= 1 + 1e-12 for value in values)
    assert total == 1 or values[-1] == pytest.approx(end, abs=1e-9)
    assert warmup * total <= 1 or start == 0 or values[0] == pytest.approx(start, abs=1e-9)


def test_start_without_warmup_is_refused():
    with pytest.raises(ConfigError, match="start cannot act without a warm-up"):
        warmup_cosine(10, warmup=0.0, start=0.1)


def test_steps_are_those_of_torch():
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, [25, 60], gamma=0.3)
    ours = [in_steps(100, at=[0.6, 0.25], factor=0.3)(step) for step in range(100)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, 100), abs=1e-9)


def test_a_share_of_the_steps_is_counted_as_it_is_written():
    ours = in_steps(25, at=[0.28])
    assert [ours(6), ours(7)] == [1.0, 0.1], "0.28 * 25 is 7, and 7.000000000000001 in binary"
    assert warmup_cosine(100, warmup=0.29)(29) == 1.0, "0.29 * 100 is 29, and 28.999999999999996 in binary"
    assert cosine_restarts(37, cycles=4, growth=1.4)(12) == 1.0, "the third cycle begins at 12.5"


@pytest.mark.slow
@given(STEPS, st.lists(WRITTEN, max_size=4), st.floats(0.05, 0.95))
def test_each_step_down_comes_at_its_share_of_the_run(total, at, factor):
    ours = in_steps(total, at=at, factor=factor)
    for step in range(total):
        cuts = sum(step >= Fraction(str(share)) * total for share in at)
        assert ours(step) == pytest.approx(factor**cuts, rel=1e-12)


@given(STEPS, st.floats(0.001, 0.99))
def test_exponential_is_the_one_of_torch_at_every_step(total, end):
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=end ** (1 / total))
    ours = [exponential(total, end=end)(step) for step in range(total)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, total), rel=1e-6)
    assert exponential(total, end=end)(total) == pytest.approx(end)


@pytest.mark.slow
@given(STEPS, st.floats(1e-6, 10.0))
def test_inverse_time_is_the_rate_over_one_plus_decay_times_step_whatever_the_length(total, decay):
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + decay * step) ** -1)
    ours = [inverse_time(total, decay=decay)(step) for step in range(total)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, total), rel=1e-12)
    assert ours == [inverse_time(10 * total, decay=decay)(step) for step in range(total)]


@pytest.mark.parametrize(("total", "cycles", "growth"), [(70, 3, 2), (90, 3, 1), (40, 1, 2), (130, 3, 3)])
def test_cosine_restarts_are_those_of_torch(total, cycles, growth):
    first = total * (growth - 1) // (growth**cycles - 1) if growth > 1 else total // cycles
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, growth, eta_min=0.1)
    ours = [cosine_restarts(total, cycles=cycles, growth=growth, end=0.1)(step) for step in range(total)]
    assert ours == pytest.approx(factors_of_torch(reference, optimizer, total), abs=1e-9)


@given(STEPS, st.integers(1, 6), st.one_of(st.floats(1.0, 3.0), st.integers(10, 30).map(lambda number: number / 10)))
def test_each_cosine_begins_at_the_nearest_step_to_its_share_of_the_run(total, cycles, growth):
    factor = cosine_restarts(total, cycles=cycles, growth=growth)
    lengths = [Fraction(str(growth)) ** number for number in range(cycles)]
    starts = [round(total * sum(lengths[:number]) / sum(lengths)) for number in range(cycles)]
    assert [step for step in range(total) if factor(step) == 1.0] == sorted({each for each in starts if each < total})


def test_lengths_of_cycles_have_no_end():
    assert cosine_restarts(100, cycles=5, growth=1e300)(0) == 1.0


@pytest.mark.slow
@given(STEPS, st.integers(1, 6), st.floats(1.0, 3.0), SHARES)
def test_cosine_restarts_fall_within_a_cycle_and_rise_only_to_the_top(total, cycles, growth, end):
    values = [cosine_restarts(total, cycles=cycles, growth=growth, end=end)(step) for step in range(total)]
    assert all(end - 1e-12 <= value <= 1 + 1e-12 for value in values)
    rises = [after for before, after in pairwise(values) if after > before + 1e-12]
    assert values[0] == 1.0 and all(value == 1.0 for value in rises) and len(rises) <= cycles - 1


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(1, 4), st.floats(0.1, 0.9), st.floats(0.0, 0.5)
)
def test_plateau_cuts_the_rate_when_torch_does(losses, patience, factor, end):
    optimizer = optimizer_with(1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience - 1, threshold=0.0, min_lr=end, eps=0.0
    )
    ours, share, waited = plateau(99, patience=patience, factor=factor, end=end), 1.0, 0
    for number, loss in enumerate(losses):
        reference.step(loss)
        share, waited = ours.after(share, waited, number == 0 or loss < min(losses[:number]))
        assert share == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert {ours(step) for step in range(99)} == {1.0}


OPTIONS = {
    schema.Share: WRITTEN,
    schema.Fraction: st.one_of(SHARES, st.sampled_from([0.0, 1.0])),
    schema.BelowOne: st.one_of(WRITTEN, st.just(0.0)),
    schema.Positive: st.floats(1e-300, 1e300),
    schema.AtLeastOne: st.floats(1.0, 100.0),
    schema.Count: st.integers(1, 20),
    list[schema.Share]: st.lists(WRITTEN, max_size=3),
}


@pytest.mark.slow
@pytest.mark.parametrize("part", sorted(registry.entries("sched")))
@given(data=st.data(), total=st.one_of(st.integers(1, 5), STEPS))
def test_no_schedule_wastes_its_first_step_and_none_leaves_its_range(part, data, total):
    drawn = {
        name: data.draw(OPTIONS[option.annotation], name)
        for name, option in registry.entries("sched")[part].options.items()
    }
    try:
        factor = registry.SCHEDS.builder(part)(total, **drawn)
    except ConfigError:
        reject()
    assert factor(0) > 0
    assert all(0 <= factor(step) <= 1 for step in range(total))


@pytest.mark.parametrize(
    ("factor", "first"),
    [(warmup_cosine(20), 0.5), (warmup_cosine(100), 1 / 6), (one_cycle(10, warmup=0.3, start=0.0), 0.25)],
)
def test_a_warm_up_from_nothing_begins_one_step_above_it(factor, first):
    assert factor(0) == pytest.approx(first)


@pytest.mark.parametrize(
    ("factor", "step"),
    [
        (constant(50), 0),
        (in_steps(50), 0),
        (exponential(50), 0),
        (inverse_time(50), 0),
        (plateau(50), 0),
        (warmup_cosine(50, warmup=0.2), 10),
        (warmup_cosine(50, warmup=0.0), 0),
        (one_cycle(50, warmup=0.3), 14),
        (cosine_restarts(70), 30),
    ],
)
def test_the_last_rise_is_the_last_step_above_the_one_before(factor, step):
    assert last_rise(factor, 70 if step == 30 else 50) == step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "epochs", "said"),
    [
        (("sched=constant",), 3, ""),
        (("sched=one_cycle",), 5, "counts from epoch 4 on: the learning rate rises until epoch 3 of 10.\n"),
        (("sched=warmup_cosine", "sched.warmup=0.5"), 8, "counts from epoch 7 on: the learning rate rises until epoch"),
        (("sched=cosine_restarts", "sched.cycles=2", "sched.growth=1"), 8, "counts from epoch 7 on"),
        (("sched=one_cycle", "sched.warmup=0.9"), 10, "cannot act: the learning rate rises until epoch 9 of 10, and"),
    ],
)
def test_early_stop_counts_once_the_rate_no_longer_rises(train, tmp_path, words, epochs, said):
    words = ("name=x", "optim.lr=1e-30", "epochs=10", "early_stop=2", "data.images=40", *words)  # no progress
    ended: Ended = train(*words)
    assert ended.code == 0, ended.err
    assert (f"early_stop=2 {said}" in ended.out) if said else "early_stop=2" not in ended.out
    assert len(lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")) == epochs
    again = train(*words, "resume=auto")
    assert "is finished" in again.out and ("early_stop=MORE" in again.out) == (epochs < 10)
