"""Rates measured in turn, so that a machine whose speed drifts is as slow for the one as for the other."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Images per second of two contestants, and the median, least and greatest ratio over the rounds."""

    ours: float
    theirs: float
    median: float
    least: float
    greatest: float


def in_turn(ours: Callable[[], int], theirs: Callable[[], int], rounds: int = 7) -> Ratio:
    """Runs both once to warm up, then in turn. Each call returns the number of images it has dealt with."""
    ours()
    theirs()
    pairs = [
        (_rate(ours), _rate(theirs)) if each % 2 else tuple(reversed((_rate(theirs), _rate(ours))))
        for each in range(rounds)
    ]
    ratios = [mine / other for mine, other in pairs]
    return Ratio(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _rate(work: Callable[[], int]) -> float:
    begun = time.perf_counter()
    images = work()
    return images / (time.perf_counter() - begun)
