"""Rates measured in turn, so that a machine whose speed drifts is as slow for the one as for the other."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ratio:
    """Images per second of two contestants, and the median, least and greatest ratio over the rounds."""

    ours: float
    theirs: float
    median: float
    least: float
    greatest: float


def in_turn(
    ours: Callable[[], int],
    theirs: Callable[[], int],
    rounds: int = 7,
    turns: int = 1,
    clock: Callable[[], float] | None = None,
) -> Ratio:
    """Runs both once to warm up, then in turn, every other time in the other order; a round is `turns` calls of each.

    The more and the shorter the turns of a round are, the less a drift of the machine's speed tells in its ratio.
    Each call returns the number of images it has dealt with. clock: seconds, by default those that pass;
    time.process_time counts those of a core, which change less with what else runs. Only for work that does not wait.
    """
    ours()
    theirs()
    now = clock or time.perf_counter
    pairs = [_rates(ours, theirs, range(each * turns, (each + 1) * turns), now) for each in range(rounds)]
    ratios = [mine / other for mine, other in pairs]
    return Ratio(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _rates(
    ours: Callable[[], int], theirs: Callable[[], int], turns: range, now: Callable[[], float]
) -> tuple[float, float]:
    """Images per second of both over these turns; ours begins the odd ones."""
    mine, other = _Clock(ours, now), _Clock(theirs, now)
    for turn in turns:
        for clock in (mine, other) if turn % 2 else (other, mine):
            clock.run()
    return mine.rate, other.rate


def finish() -> None:
    """Waits for what a GPU has been given to do: what is asked of it is not done yet when the call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class _Clock:
    """Counts the images of its work, and the seconds that it takes."""

    def __init__(self, work: Callable[[], int], now: Callable[[], float]) -> None:
        self.work = work
        self.now = now
        self.images = 0
        self.seconds = 0.0

    def run(self) -> None:
        begun = self.now()
        self.images += self.work()
        finish()
        self.seconds += self.now() - begun

    @property
    def rate(self) -> float:
        return self.images / self.seconds
