"""When a run began, as whoever gave the command sees it, and times in words."""

import os
import time
from pathlib import Path

_LONGEST_START = 15.0
"""Seconds that importing takes at most. A process that is older has done other things since."""
_STARTED = 19
"""Which number, after the name in brackets, tells when a process began, in ticks since the system did (man 5 proc)."""


def start_of_run() -> float:
    """Now, by time.monotonic(), or when this process began if all that it has done was to start."""
    about, now = Path("/proc/self/stat"), time.monotonic()
    if not about.exists():  # not Linux
        return now
    ticks = int(about.read_text().rpartition(")")[2].split()[_STARTED])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return now - age if 0 <= age < _LONGEST_START else now


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
