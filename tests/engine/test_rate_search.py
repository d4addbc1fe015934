"""The search for a rate, on made-up trainings with known answers."""

import math
from collections.abc import Callable

import pytest

from trainer.engine.rate_search import SHARE, Search, Trial, most_steps, search

MIDDLE = 0.003
UNTRAINED = 2.3


def bowl(best: float, diverges: float = math.inf) -> Callable[[float, int], Trial]:
    """A loss that is lowest at a rate, the lower the longer the training, and infinite from another rate on."""

    def attempt(rate: float, steps: int) -> Trial:
        loss = 1 / steps + 0.5 * abs(math.log10(rate / best)) if rate < diverges else math.inf
        return Trial(rate, steps, loss, 0.5)

    return attempt


def found(attempt: Callable[[float, int], Trial], total_steps: int = 10_000) -> Search:
    return search(MIDDLE, total_steps, UNTRAINED, attempt)


@pytest.mark.parametrize("place", range(-6, 7))
def test_the_best_rate_is_found_within_the_grid_and_a_little_beyond_it(place: int) -> None:
    best = MIDDLE * 10 ** (place / 2)
    assert found(bowl(best)).best.rate == pytest.approx(best, rel=0.05)


def test_rates_at_which_training_diverges_drop_out() -> None:
    result = found(bowl(0.3, diverges=0.1))
    assert result.best.rate == pytest.approx(0.095) and result.learns
    tried = [trial.rate for trial in result.round(result.lengths[-1])]
    assert tried == pytest.approx([0.0095, 0.03, 0.095, 0.3])  # the next one beyond the best is tried once more


def test_a_rate_that_is_best_at_first_only_gives_way_to_the_one_that_is_best_in_longer_trainings() -> None:
    short = found(bowl(MIDDLE)).lengths[0]

    def drifting(rate: float, steps: int) -> Trial:
        return bowl(0.3 if steps == short else 0.03)(rate, steps)

    assert found(drifting).best.rate == pytest.approx(0.03)


@pytest.mark.parametrize(("loss", "expected"), [(1.0, MIDDLE), (1.12, MIDDLE), (1.14, 0.0095)])
def test_a_lower_rate_is_taken_that_has_learnt_nine_tenths_as_much(loss: float, expected: float) -> None:
    losses = {MIDDLE: loss, 0.0095: 1.0}
    result = found(lambda rate, steps: Trial(rate, steps, losses.get(rate, 2.0), 0.5))
    assert result.best.rate == expected and result.lowest.loss == 1.0


def test_no_rate_that_diverges_is_taken_where_the_untrained_loss_is_no_number() -> None:
    losses = {MIDDLE: math.inf, 0.0095: 1.0, 0.03: 1.5}
    trials = [Trial(rate, 40, loss, 0.5) for rate, loss in losses.items()]
    assert Search(trials, 10_000, math.inf).best.rate == 0.0095


@pytest.mark.parametrize("total_steps", [4000, 12_345, 1_000_000])
@pytest.mark.parametrize("place", [-9, -4, 0, 3, 9])
def test_a_search_takes_a_tenth_of_the_runs_steps_at_most(total_steps: int, place: int) -> None:
    steps = found(bowl(MIDDLE * 10 ** (place / 2)), total_steps).steps
    assert steps <= most_steps(total_steps) <= SHARE * total_steps


def test_a_short_run_has_a_search_that_is_long_enough_to_tell_and_no_training_longer_than_itself() -> None:
    assert found(bowl(MIDDLE), 300).lengths == [10, 40]
    assert found(bowl(MIDDLE), 20).lengths == [10, 20]
    assert found(bowl(MIDDLE), 4).lengths == [4]


def test_where_the_first_round_has_learnt_nothing_the_rates_in_the_middle_go_on() -> None:
    short = found(bowl(MIDDLE)).lengths[0]

    def late(rate: float, steps: int) -> Trial:
        luck = UNTRAINED + 0.003 * math.log10(rate)  # the lowest of all looks best
        return Trial(rate, steps, luck, 0.1) if steps == short else bowl(0.0095)(rate, steps)

    result = found(late)
    assert result.best.rate == pytest.approx(0.0095)
    assert [trial.rate for trial in result.round(result.lengths[-1])] == pytest.approx([0.00095, 0.003, 0.0095, 0.03])


def slow(learns_after: int) -> Callable[[float, int], Trial]:
    """Nothing is learnt in trainings of fewer steps."""

    def attempt(rate: float, steps: int) -> Trial:
        return bowl(0.0095)(rate, steps) if steps >= learns_after else Trial(rate, steps, UNTRAINED, 0.1)

    return attempt


def test_where_two_rounds_have_learnt_nothing_there_is_a_longer_one() -> None:
    result = found(slow(100), 300)
    assert result.lengths == [10, 40, 160] and result.learns
    assert result.best.rate == pytest.approx(0.0095)
    assert found(slow(100), 120).lengths == [10, 40, 120]  # no longer than the run


def test_a_search_that_is_not_patient_ends_after_two_rounds() -> None:
    result = search(MIDDLE, 300, UNTRAINED, slow(100), patient=False)
    assert result.lengths == [10, 40] and not result.learns and result.steps <= most_steps(300)


def test_nothing_is_learnt_where_no_loss_falls_below_the_untrained() -> None:
    assert not found(lambda rate, steps: Trial(rate, steps, UNTRAINED, 0.1)).learns


def test_where_every_rate_diverges_lower_ones_are_tried_and_nothing_is_learnt() -> None:
    result = found(bowl(MIDDLE, diverges=0.0))
    assert not result.learns and math.isinf(result.lowest.loss)
    assert min(trial.rate for trial in result.trials) < 1e-5
