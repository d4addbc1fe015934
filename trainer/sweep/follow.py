"""What the command of a sweep says while its runs are elsewhere: a line for each that ends, and the time left."""

import signal
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType

from trainer.errors import visible
from trainer.sweep.board import Board, seconds_left
from trainer.system.elapsed import duration

_LOOKS = 0.5
"""Seconds between two looks at what has ended."""


def about(seconds: float | None) -> str:
    """The time left in words, after a comma; nothing where it is not known."""
    return "" if seconds is None else f", about {duration(max(1, round(seconds)))} left for the sweep"


@contextmanager
def followed(board: Board, count: int, finished: Collection[int]) -> Iterator[None]:
    """While it lasts, what ends is told, and SIGTERM and SIGINT stop all runs when these have saved.

    A second SIGINT ends the command as it would without us: who presses Ctrl-C twice will not wait.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        board.stop(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    follower = _Follower(board, count, finished)
    noted = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, stop) for number in noted}
    follower.start()
    try:
        yield
    finally:
        follower.end()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Follower(threading.Thread):
    """Looks again and again, beside the launcher that waits."""

    def __init__(self, board: Board, count: int, finished: Collection[int]) -> None:
        super().__init__(daemon=True)
        self._board, self._count, self._finished = board, count, finished
        self._told: set[int] = set()
        self._at_once = 1
        self._has_stopped = False
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_LOOKS):
            self._look()
        self._look()

    def end(self) -> None:
        """Tells what is left to be told."""
        self._over.set()
        self.join()

    def _look(self) -> None:
        if self._board.stopped and not self._has_stopped:
            self._has_stopped = True
            print("Stopping: each run saves what it has.", file=sys.stderr, flush=True)
        self._at_once = max(self._at_once, self._board.running)
        new = self._board.ended(but=self._told)
        self._told |= {ended.number for ended in new}
        for ended in new:
            run = f"run {ended.number + 1} of {self._count}"
            score = f", {ended.score}" if ended.score else ""
            print(f"{run} {ended.status} after {duration(ended.seconds)}{score}, in {ended.place}", flush=True)
            if ended.error:
                file = sys.stderr if ended.status == "failed" else sys.stdout
                print(visible(f"{run}: {ended.error}", keep="\n"), file=file, flush=True)
        if new and len(self._told) < self._count:
            left = seconds_left(self._board.ended(), self._count, self._finished, self._at_once)
            print(f"{len(self._told)} of {self._count} runs done{about(left)}", flush=True)
