"""Starts a run, listens to its phases, and kills it where that is asked for."""

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torture.cases import Kill
from torture.child import PHASES, train

ROOT = Path(__file__).parent.parent
_PATIENCE_SECONDS = 300.0
"""No run of a case takes as long; one that does hangs."""


@dataclass(frozen=True)
class Course:
    """How a run went. killed_in: its phase when the kill came, None if it ended by itself, with that exit code."""

    code: int
    killed_in: str | None
    entered: tuple[tuple[float, str], ...]
    """Seconds since the start, and the phase that began then."""
    seconds: float

    def times(self, phase: str) -> int:
        """How often the phase was entered."""
        return sum(name == phase for _, name in self.entered)

    def mean_seconds(self, phase: str) -> float:
        """How long the phase lasts on average; 0 if it was never entered."""
        moments = [*(moment for moment, _ in self.entered), self.seconds]
        lasted = [moments[i + 1] - moments[i] for i, (_, name) in enumerate(self.entered) if name == phase]
        return sum(lasted) / len(lasted) if lasted else 0.0


@dataclass(frozen=True)
class Trigger:
    """The moment of a kill: so many seconds after the start, or after the phase is entered for the numbered time."""

    seconds: float
    phase: str | None = None
    number: int = 0


def trigger_of(kill: Kill, unbroken: Course, import_seconds: float) -> Trigger:
    """The moment that the shares of an unbroken course come to. import_seconds: what this start takes besides."""
    if kill.phase is None:
        return Trigger(kill.share * (unbroken.seconds + import_seconds))
    number = 1 + int(kill.share * unbroken.times(kill.phase))
    extra = import_seconds if kill.phase == "start-up" else 0.0
    return Trigger(kill.depth * (unbroken.mean_seconds(kill.phase) + extra), kill.phase, number)


def start(words: Sequence[str], log: Path, environment: Mapping[str, str], *, as_command: bool) -> tuple[int, int]:
    """The process id of a run, and the end of a pipe that tells its phases. What it prints goes to the log."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    code = 99  # not one of the program's
    try:
        os.environ.update(environment)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.set_inheritable(theirs, True)
        if as_command:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "torture.child", str(theirs), *words])
        code = train(list(words), theirs)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def follow(pid: int, pipe: int, trigger: Trigger | None) -> Course:
    """The course of a started run, which ends by itself or by the trigger."""
    begun, entered, due, counted = time.perf_counter(), [], None, 0
    if trigger and trigger.phase is None:
        due = begun + trigger.seconds
    while True:
        now = time.perf_counter()
        if (due is not None and now >= due) or now - begun > _PATIENCE_SECONDS:
            os.kill(pid, signal.SIGKILL)
        wait = 0.1 if due is None else max(0.0, min(0.1, due - now))
        ready, _, _ = select.select([pipe], [], [], wait)
        letters = os.read(pipe, 4096).decode() if ready else ""
        now = time.perf_counter()
        entered += [(now - begun, PHASES[letter]) for letter in letters]
        if trigger and trigger.phase and due is None:
            counted += sum(PHASES[letter] == trigger.phase for letter in letters)
            due = now + trigger.seconds if counted >= trigger.number else None
        ended, status = os.waitpid(pid, os.WNOHANG if letters or not ready else 0)
        if ended:
            break
    seconds = time.perf_counter() - begun
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):  # a loader's process, left behind by the kill, still holds the other end
        entered += [(seconds, PHASES[letter]) for letter in os.read(pipe, 4096).decode()]
    os.close(pipe)
    code = os.waitstatus_to_exitcode(status)
    killed_in = entered[-1][1] if code == -signal.SIGKILL and entered else None
    return Course(code, killed_in, tuple(entered), seconds)
