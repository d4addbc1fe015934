"""What every sched part returns."""

from collections.abc import Callable

Schedule = Callable[[int], float]
"""Step (0 for the first) -> factor of each parameter group's base rate. Pure: it never counts by itself."""
