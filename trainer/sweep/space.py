"""What a search draws from: the values of a word in Hydra's grammar, as a distribution of Optuna's."""

import math
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import Override, RangeSweep, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trainer.errors import did_you_mean

_LOG = "log"


def distribution(override: Override) -> BaseDistribution:
    """What a word with several values stands for; the choices of a list are told as they are written.

    tag(log,interval(...)) draws the logarithm. Raises ValueError, with a sentence, where there is no such distribution.
    """
    sweep: Any = override.value()
    tags: set[str] = getattr(sweep, "tags", set())
    for tag in tags - {_LOG}:
        raise ValueError(f"there is no tag '{tag}'.{did_you_mean(tag, [_LOG])} There is {_LOG}.")
    if override.is_interval_sweep():
        low, high = sweep.start, sweep.end
        if low > high:
            raise ValueError("it ends before it begins. Write interval(FROM,TO).")
        if tags and low <= 0:
            raise ValueError("both ends must be above 0 where the logarithm is drawn from.")
        are_whole = isinstance(low, int) and isinstance(high, int)  # int(interval(16,64)): else they are 16.0 and 64.0
        return (IntDistribution if are_whole else FloatDistribution)(low, high, log=_LOG in tags)
    if tags:
        raise ValueError("log is for intervals: tag(log,interval(FROM,TO)).")
    if override.is_range_sweep():
        return _steps(sweep)
    return CategoricalDistribution([str(each) for each in override.sweep_iterator(transformer=Transformer.encode)])


def value_in(values: BaseDistribution, said: str) -> str | int | float:
    """What was said for one value, as the distribution has it."""
    if isinstance(values, IntDistribution):
        return int(said)
    return float(said) if isinstance(values, FloatDistribution) else said


def _steps(sweep: RangeSweep) -> BaseDistribution:
    """The values of a range, which ends before its end, as Python's do."""
    start, stop, step = _exact(sweep.start), _exact(sweep.stop), _exact(sweep.step)
    last = start + (math.ceil((stop - start) / step) - 1) * step
    low, high = sorted((start, last))
    if isinstance(sweep.range(), range):
        return IntDistribution(int(low), int(high), step=int(abs(step)))
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def _exact(number: float | None) -> Decimal:
    """As it was written: 0.1, and not what is nearest to it in binary."""
    return Decimal(str(number))
