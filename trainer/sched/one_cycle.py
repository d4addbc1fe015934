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
    Momentum stays as it is.
    """
    peak = max(warmup * total_steps - 1, 0.0)
    fall = total_steps - 1 - peak

    def factor(step: int) -> float:
        if step < peak:
            return 1 + (start - 1) / 2 * (1 + cos(pi * step / peak))
        done = (step - peak) / fall if fall else 0.0
        return end + (1 - end) / 2 * (1 + cos(pi * done))

    return factor
