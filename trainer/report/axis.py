"""An axis of a chart: its range, and the round numbers at which it is ticked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

_LARGEST = 1e300
"""What lies beyond is not drawn: the arithmetic on it would overflow."""
_FINEST = 1e-3
"""The least range, as a share of the largest value: a change below it is shown as none."""
_PADDING = 0.05


@dataclass(frozen=True)
class Axis:
    """low < high, and the ticks within, each with its label."""

    low: float
    high: float
    ticks: Sequence[float]
    labels: Sequence[str]

    def share(self, value: float) -> float:
        """Where a value lies between low, which is 0, and high, which is 1."""
        return (value - self.low) / (self.high - self.low)


def is_drawable(value: float | None) -> TypeGuard[float]:
    """Whether the value has a place on an axis: it is there, finite, and not beyond measure."""
    return value is not None and abs(value) <= _LARGEST


def axis_for(values: Sequence[float], most_ticks: int, *, whole: bool = False, from_zero: bool = False) -> Axis:
    """The axis that shows all of these drawable values, with some room at both ends.

    whole: the ticks are whole numbers. from_zero: it starts at zero, and no value lies below.
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    low = 0.0 if from_zero else low
    size = max(abs(low), abs(high))
    least = 1.0 if whole or size < 1 / _LARGEST else _FINEST * size
    widening = max(0.0, least - (high - low)) / 2 + _PADDING * max(high - low, least)
    low, high = low if from_zero else low - widening, high + widening
    step, decimals = _step((high - low) / most_ticks, whole)
    ticks = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Axis(low, high, ticks, _labels(ticks, decimals))


def _step(least: float, whole: bool) -> tuple[float, int]:
    """The first round number from `least` on, and the decimals that its multiples have (below 0: tens, hundreds)."""
    exponent = math.floor(math.log10(max(least, 1.0) if whole else least))
    steps = [(1, 0), (2, 0), (2.5, 1), (5, 0), (10, -1)]
    fitting = [
        (digits * 10.0**exponent, decimals - exponent)
        for digits, decimals in steps
        if digits * 10.0**exponent >= least and not (whole and decimals > exponent)
    ]
    return fitting[0]


def _labels(ticks: Sequence[float], decimals: int) -> list[str]:
    """The ticks in figures; with exponents where plain figures would be long."""
    exponent = math.floor(math.log10(max(map(abs, ticks)) or 1.0))
    if -5 < exponent < 6:
        return [f"{tick:.{max(decimals, 0)}f}" for tick in ticks]
    return [f"{tick:.{max(decimals + exponent, 0)}e}" if tick else "0" for tick in ticks]
