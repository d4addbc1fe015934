"""The learning-rate range test (Smith 2017, "Cyclical learning rates for training neural networks", section 3.3).

The rate rises exponentially from one step to the next; what the loss does meanwhile tells which rates work.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer.engine.health import alarm, is_left_out
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Batches, Recipe, train_epoch
from trainer.engine.metrics import scores_of
from trainer.engine.state import State

LOWEST, HIGHEST = 1e-6, 10.0
FEWEST_STEPS, MOST_STEPS = 240, 400
_WIDTH = 0.3
"""Decades: the standard deviation of the bell by which losses are smoothed."""
_RECENT = 5
"""Steps whose mean tells whether the loss is diverging: one bad batch is not enough."""
_TORN = 4.0
"""Times its best at which the loss counts as diverged."""
_SAFETY = 10.0
_BEGUN = 0.1
"""Share of the whole fall from which on a rate counts as working."""


@dataclass(frozen=True)
class Findings:
    """What the losses over the rates tell. Without a suggestion, the loss fell at no rate."""

    smoothed: Sequence[float]
    """The losses before the divergence, each averaged with its neighbours."""
    suggestion: float | None = None
    works: tuple[float, float] | None = None
    """The lowest and the highest rate at which the loss still fell."""
    diverged: float | None = None
    """The rate at which the loss left for good; None if it never did."""


def rising_rates(steps_in_epoch: int) -> list[float]:
    """From 1e-6 to 10, evenly on a logarithmic scale: one epoch of steps, but 240 at least and 400 at most."""
    count = min(max(steps_in_epoch, FEWEST_STEPS), MOST_STEPS)
    return [LOWEST * (HIGHEST / LOWEST) ** (step / (count - 1)) for step in range(count)]


def losses_over(state: State, batches: Batches, recipe: Recipe, rates: Sequence[float], epochs: int) -> Iterator[float]:
    """The loss of each step while the rate of the last stage takes these values, and the other stages' their share.

    The steps are those of training, with the rates in the schedule's place. What learns is what learns in the last of
    the epochs: all that will ever learn. After a step that a scaler leaves out, the next one takes its rate; where
    training would stop, the loss is NaN. The state is used up.
    """
    base = max(group["initial_lr"] for group in state.optimizer.param_groups)
    taken = 0
    trial = replace(
        recipe,
        schedule=lambda step: rates[taken] / base,
        begin_epoch=lambda model, _: recipe.begin_epoch(model, epochs - 1),
    )
    while taken < len(rates):
        for _ in train_epoch(state, batches, trial, Interrupt()):
            found = alarm(state)
            if found is None and is_left_out(state):
                continue
            yield math.nan if found else scores_of(state.sums - state.logged_sums).loss
            state.logged_sums = state.sums.clone()
            taken += 1
            if taken == len(rates):
                return
        state.epoch += 1


def divergence(losses: Sequence[float]) -> int | None:
    """The step at which the loss is not finite, or the mean of the last five is above four times its best.

    As best counts a tenth of the first mean at least, since of an almost perfect loss any batch is a multiple.
    """
    best = floor = 0.0
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            return step
        recent = losses[max(0, step + 1 - _RECENT) : step + 1]
        mean = sum(recent) / len(recent)
        if step < _RECENT:
            best, floor = mean, mean / 10
        best = min(best, mean)
        if mean > _TORN * max(best, floor):
            return step
    return None


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Findings:
    """The rate by which half of the smoothed loss's fall is done, or a tenth of the divergent rate where that is lower.

    rates: rising; one for each loss. The fall is from the mean over the first decade of rates down to the lowest point.
    Where the loss falls evenly that is also where it falls most steeply; but half of a fall is found reliably in noise,
    and a slope is not. Rates work from where a tenth of the fall is done. It counts as a fall if it is 2 % of the first
    loss, and 1.25 times the noise of one batch: about four times the error of the smoothed loss.
    """
    end = divergence(losses)
    diverged = None if end is None else rates[end]
    kept = torch.tensor(losses[:end], dtype=torch.float64)
    decades = torch.tensor(rates[:end], dtype=torch.float64).log10()
    at_first = kept[: sum(rate <= 10 * rates[0] for rate in rates)]
    if len(kept) < len(at_first) + 2:
        return Findings(kept.tolist(), diverged=diverged)
    level = at_first.mean()
    smoothed = _smooth(decades, kept.clamp(max=2 * level))  # the leap before a divergence must not hide the valley
    start = torch.minimum(level, smoothed[0])  # a loss that rises from the first step on has not fallen
    lowest = int(smoothed.argmin())
    fall = start - smoothed[lowest]
    noise = kept.diff().abs().median() * 1.4826 / math.sqrt(2)  # robust: the median of a normal's size is 1 / 1.4826
    if fall <= max(0.02 * start, 1.25 * noise):
        return Findings(smoothed.tolist(), diverged=diverged)
    first = int((smoothed > start - _BEGUN * fall)[: lowest + 1].nonzero().max())
    half = int((smoothed > start - fall / 2)[: lowest + 1].nonzero().max())
    suggestion = rates[half] if diverged is None else min(rates[half], diverged / _SAFETY)
    return Findings(smoothed.tolist(), suggestion, (rates[first], rates[lowest]), diverged)


def _smooth(places: Tensor, values: Tensor) -> Tensor:
    """Each value averaged with its neighbours, by a bell over the distance: unlike a running mean, it never lags."""
    weights = (-((places[:, None] - places) / _WIDTH).square() / 2).exp()  # (N, N)
    return (weights @ values) / weights.sum(1)
