"""Schedules against torch's own and against the formulas."""

import math
import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import ConfigError
from trainer.sched.constant import constant
from trainer.sched.one_cycle import one_cycle
from trainer.sched.warmup_cosine import warmup_cosine

STEPS = st.integers(1, 400)
SHARES = st.floats(0.0, 1.0)


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


@given(STEPS, st.floats(0.01, 0.99), SHARES, SHARES)
def test_warmup_cosine_stays_in_range_and_turns_once(total, warmup, start, end):
    factor = warmup_cosine(total, warmup=warmup, start=start, end=end)
    values, warmup_steps = [factor(step) for step in range(total)], math.floor(warmup * total)
    assert all(min(start, end) - 1e-12 <= value <= 1 + 1e-12 for value in values)
    assert all(a <= b + 1e-12 for a, b in pairwise(values[: warmup_steps + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(values[warmup_steps:]))
    assert values[warmup_steps] == 1.0


@given(STEPS, st.floats(0.01, 0.99), SHARES, SHARES)
def test_one_cycle_stays_in_range_and_ends_where_it_says(total, warmup, start, end):
    values = [one_cycle(total, warmup=warmup, start=start, end=end)(step) for step in range(total)]
    assert all(min(start, end) - 1e-12 <= value <= 1 + 1e-12 for value in values)
    assert total == 1 or values[-1] == pytest.approx(end, abs=1e-9)
    assert warmup * total <= 1 or values[0] == pytest.approx(start, abs=1e-9)


def test_start_without_warmup_is_refused():
    with pytest.raises(ConfigError, match="start cannot act without a warm-up"):
        warmup_cosine(10, warmup=0.0, start=0.1)
