"""A rate that never changes."""

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule


@SCHEDS.register
def constant(total_steps: int) -> Schedule:
    """The base rate at every step."""
    return lambda step: 1.0
