"""A run of a sweep in a process that is not the command's: nothing of it on the screen, and stopped with the sweep."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from trainer.sweep.board import Board

_LOOKS = 1.0
"""Seconds between two looks at whether the sweep is to stop."""


@dataclass(frozen=True)
class Command:
    """The process that began a sweep: where it runs, and where it was started."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    folder: Path = field(default_factory=Path.cwd)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, as far as this machine can tell."""
        if socket.gethostname() != self.host:
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is there, and another user's
            return False
        return False


@contextmanager
def apart(board: Board, command: Command) -> Iterator[None]:
    """While it lasts, what is printed goes nowhere, and a sweep that stops, or whose command is gone, sends this
    process SIGTERM again and again: a run that is not training yet would miss the first.

    After it the process ignores signals: a launcher that loses one that idles would kill those that still save. Where
    the command is gone it ends.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOKS):
            if board.stopped or command.is_gone:
                os.kill(os.getpid(), signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir(command.folder)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        over.set()
        thread.join()
        if command.is_gone:  # nobody waits for an answer, and joblib's processes would idle for minutes
            os._exit(0)
