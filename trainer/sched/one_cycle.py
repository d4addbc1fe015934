"""One cycle: half a cosine up, and a longer one down."""

from math import cos, pi

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import Fraction, Share


@SCHEDS.register
def one_cycle(total_steps: int, *, warmup: Share = 0.3, start: Fraction = 0.04, end: Fraction = 4e-6) -> Schedule:
    """Up along a cosine to a high rate and down to almost none: for short runs at a bold rate.

    The factor goes from start at the first step to 1 at step warmup * T - 1 and to end at the last, T - 1 (Smith and
    Topin 2018, with the cosines of torch's OneCycleLR, whose div_factor is 1 / start and final_div_factor start / end).
    A start of 0 is where the step before the first would be, so that no step is wasted. Momentum stays as it is.
    """
    peak = max(warmup * total_steps - 1, 0.0)
    before = 0 if start else 1  # steps on the way up before the first that is taken
    fall = total_steps - 1 - peak

    def factor(step: int) -> float:
        if step < peak:
            rising = 1 + (start - 1) / 2 * (1 + cos(pi * (step + before) / (peak + before)))
            return max(start, rising)  # beside 1, a start of 1e-17 is lost
        done = (step - peak) / fall if fall else 0.0
        return end + (1 - end) / 2 * (1 + cos(pi * done))

    return factor
