"""SIGTERM and SIGINT ask for a good end between two batches; a SIGINT after that ends the process at once."""

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import TypeVar

from trainer.parallel.ranks import ALONE, Ranks

Item = TypeVar("Item")


class Interrupted(Exception):
    """A signal came; raised between two batches, where the state is whole."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Interrupt:
    """While entered, SIGTERM and SIGINT are noted. After that SIGINT acts as it would without us: who presses Ctrl-C
    twice will not wait. SIGTERM does not: `timeout` and batch systems send it to the process and to its group.
    In a thread other than the main one, nothing is noted: Python gives signals to that one alone.
    ranks: the processes of the run, which all stop after the same step, whichever of them a signal was sent to.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self._received = 0
        self._ranks = ranks

    def __enter__(self) -> "Interrupt":
        noted = self._SIGNALS if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._note) for number in noted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; raises Interrupted before the next one once a signal has come."""
        for item in items:
            self.check()
            yield item
        self.check()

    @property
    def of_one(self) -> "Interrupt":
        """For what one process does while the others wait: it stops for no signal, which they could not agree on."""
        return self if self._ranks.place.is_alone else Interrupt()

    def check(self) -> None:
        """Raises Interrupted if a signal has come."""
        if received := self._ranks.agreed(self._received):
            raise Interrupted(received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = self._received or number
        signal.signal(signal.SIGINT, signal.SIG_DFL)
