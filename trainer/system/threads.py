"""How many threads there are to be, and how they wait for each other."""

import os

THREADS = "OMP_NUM_THREADS"
"""By which torch, and launchers of many processes, are told how many threads one may have."""
_SPINS = "1000"
"""A few microseconds. GNU OpenMP's own default spins for milliseconds where there are as many cores as threads."""


def wait_without_spinning() -> None:
    """Lets a thread that waits for another soon give its core away; must be called before torch is imported.

    Else, where anything else runs, a thread spins on the core that the one it waits for would need: with one of two
    cores taken, a step of the small CNN then takes twice as long, and feeding seven times. On free cores neither shows.
    What the environment says already stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def cores() -> int:
    """The cores for this process: those that it may use, and no more than the threads that it was given."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get(THREADS, "")
    return min(bound, int(given)) if given.isdecimal() and int(given) else bound
