"""What every sched part returns."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]
"""Step (0 for the first) -> factor of each parameter group's base rate. Pure: it never counts by itself."""
_ROUNDING = 1e-12
"""The share by which two steps at one rate may differ."""


def last_rise(schedule: Schedule, total_steps: int) -> int:
    """The last step whose rate is above that of the step before it; 0 if the rate never rises."""
    for step in range(total_steps - 1, 0, -1):
        if schedule(step) > schedule(step - 1) * (1 + _ROUNDING):
            return step
    return 0


def first_climb(schedule: Schedule, total_steps: int) -> int:
    """How many steps the rate rises from the start on, each above the one before it: the warm-up."""
    step = 0
    while step + 1 < total_steps and schedule(step + 1) > schedule(step) * (1 + _ROUNDING):
        step += 1
    return step


@dataclass(frozen=True)
class Plateau:
    """The schedule that reads validation. The counters that it wants are in the engine's state, and saved there."""

    patience: int
    """Epochs without progress before the rate is cut."""
    factor: float
    end: float

    def __call__(self, step: int) -> float:
        """What the schedule makes of time alone: nothing."""
        return 1.0

    def after(self, share: float, waited: int, is_better: bool) -> tuple[float, int]:
        """The share of the base rate, and the epochs waited since the last progress or cut, after one more epoch."""
        if is_better:
            return share, 0
        if waited + 1 < self.patience:
            return share, waited + 1
        return max(share * self.factor, self.end), 0
