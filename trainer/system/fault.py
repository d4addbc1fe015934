"""Faults on purpose, for the tests of what survives them: TRAINER_FAULT=kill@step=13 ends the process at that point.

kill, term or int, at: begin=STEP, features=VIEW, step=STEP, validation=EPOCH, and within a save FILE:MOMENT=STEP, where
the moment is begin, written (beside the old file), listed (in the manifest), between (the two renames of last.pt) or
renamed.
"""

import os
import signal

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


def reach(point: str, number: int) -> None:
    """Tells that the program has come to this point for the numbered time; a fault that was asked for happens here."""
    for fault in os.environ.get("TRAINER_FAULT", "").split(","):
        action, _, where = fault.partition("@")
        if where == f"{point}={number}":
            os.kill(os.getpid(), _SIGNALS[action])
