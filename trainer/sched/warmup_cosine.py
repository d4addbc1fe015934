"""Linear warm-up, then half a cosine down."""

from math import cos, floor, pi

from trainer.errors import ConfigError
from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import BelowOne, Fraction
from trainer.system.exact import exact


@SCHEDS.register
def warmup_cosine(total_steps: int, *, warmup: BelowOne = 0.05, start: Fraction = 0.0, end: Fraction = 0.0) -> Schedule:
    """Up in a line over the first steps, then down along a cosine: a safe choice for almost any run.

    With T steps, T_w = floor(warmup * T) of them warm-up, the factor of step t is start + (1 - start) * t / T_w before
    T_w, and from there end + (1 - end) / 2 * (1 + cos(pi * (t - T_w) / (T - T_w))) (Goyal et al. 2017, section 2.2;
    Loshchilov and Hutter 2017). A start of 0 is where the step before the first would be, so that no step is wasted:
    (t + 1) / (T_w + 1). Raises ConfigError for a start without a warm-up.
    """
    if start > 0 and warmup == 0:
        raise ConfigError(
            "sched 'warmup_cosine': start cannot act without a warm-up. Set sched.warmup, or leave start out."
        )
    before = 0 if start else 1  # steps on the line before the first that is taken
    warmup_steps = floor(exact(warmup) * total_steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return start + (1 - start) * (step + before) / (warmup_steps + before)
        return end + (1 - end) / 2 * (1 + cos(pi * (step - warmup_steps) / (total_steps - warmup_steps)))

    return factor
