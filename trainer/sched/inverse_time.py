"""A rate that falls with the inverse of time."""

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import Positive


@SCHEDS.register
def inverse_time(total_steps: int, *, decay: Positive = 0.01) -> Schedule:
    """Down as 1 / (1 + decay * t), the same for a run of any length: for runs whose end is not known yet.

    t counts steps. The rates sum to infinity and their squares do not, as Robbins and Monro 1951 ask.
    """
    return lambda step: 1 / (1 + decay * step)
