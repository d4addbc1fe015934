"""Cosines down, one after the other, each from the top."""

from bisect import bisect_right
from itertools import accumulate
from math import cos, pi

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import AtLeastOne, Count, Fraction
from trainer.system.exact import exact


@SCHEDS.register
def cosine_restarts(total_steps: int, *, cycles: Count = 3, growth: AtLeastOne = 2.0, end: Fraction = 0.0) -> Schedule:
    """Several cosines down, each starting at the base rate again: it visits several minima in one run.

    SGDR (Loshchilov and Hutter 2017, equation 5). growth: length of each cycle over that of the one before; together
    they fill the run, each begun at the nearest whole step. With i steps of a cycle of n done the factor is
    end + (1 - end) / 2 * (1 + cos(pi * i / n)), as in torch's CosineAnnealingWarmRestarts.
    """
    ends = list(accumulate(exact(growth) ** number for number in range(cycles)))
    starts = [0, *(round(total_steps * each / ends[-1]) for each in ends)]

    def factor(step: int) -> float:
        cycle = min(bisect_right(starts, step), cycles) - 1
        done = (step - starts[cycle]) / (starts[cycle + 1] - starts[cycle])
        return end + (1 - end) / 2 * (1 + cos(pi * done))

    return factor
