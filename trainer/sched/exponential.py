"""A rate that falls by the same share at every step."""

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import Share


@SCHEDS.register
def exponential(total_steps: int, *, end: Share = 0.01) -> Schedule:
    """Down by the same share at every step: most of the fall comes early.

    The factor of step t of T is end^(t / T), as torch's ExponentialLR with gamma = end^(1 / T).
    """
    return lambda step: float(end ** (step / total_steps))
