"""What every sched part returns."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]
"""Step (0 for the first) -> factor of each parameter group's base rate. Pure: it never counts by itself."""


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
