"""How torch's threads wait for each other."""

import os

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
