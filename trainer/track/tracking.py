"""The trackers of one run. The run folder stays the truth: a tracker that fails costs a line, and the run nothing."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from trainer.config import Config
from trainer.errors import CheckpointError, TrainerError, first_line
from trainer.records.ending import ending
from trainer.records.folder import MULTIRUN, RunFolder, read_json, write_json
from trainer.records.lines import read_metrics
from trainer.records.metrics import Listener
from trainer.schema import TrackerName
from trainer.track.told import holds_secrets, numbers, outcome_of, said
from trainer.track.tracker import Group, Tracked, Tracker

PATIENCE_SECONDS = 120.0
"""How long a run waits for a tracker before its first step, and again at its end."""


@contextmanager
def tracked(folder: RunFolder, config: Config, say: Callable[[str], None]) -> Iterator[Listener]:
    """While it lasts, what is told each line of metrics.jsonl tells the trackers; at its end they get the outcome.

    They are told first what the file holds already, so that one that is added when a run goes on has all of it.
    say: is told of failures, and at the end how to see the run.
    """
    tellers = list[_Teller]()
    try:
        tellers += _begun(folder, config, say) if config.settings.trackers else ()
    except TrainerError as error:
        say(f"track: no tracker is told: {error}")
    step, status = 0, "failed"

    def listen(line: dict[str, Any]) -> None:
        nonlocal step
        if line["kind"] == "event":
            return
        step = line["step"]
        for teller in tellers:
            teller.tell(partial(_log, step, numbers(line)))

    for line in read_metrics(folder.metrics) if tellers else ():
        listen(line)
    try:
        yield listen
        status = ending(None)["status"]
    except Exception as error:
        status = ending(error)["status"]
        raise
    finally:
        may = not holds_secrets(config.plain())
        weights = may and config.settings.track_weights
        outcome = partial(outcome_of, folder, status, step, with_page=may, with_weights=weights)
        for teller in tellers:
            teller.tell(lambda tracker: tracker.end(outcome()))
        _wait(tellers)
        for teller in tellers:
            teller.end()


def _log(step: int, values: dict[str, float], tracker: Tracker) -> None:
    tracker.log(step, values)


def _begun(folder: RunFolder, config: Config, say: Callable[[str], None]) -> list["_Teller"]:
    """One for each tracker. What a tracker imports is there before the run makes processes of its own."""
    known = _known(folder, Path(config.settings.output).absolute())
    path, name = folder.path.absolute(), Path(known["name"])
    is_in_place = path.parts[-len(name.parts) :] == name.parts
    output = path.parents[len(name.parts) - 1] if is_in_place else path.parent
    run = Tracked(
        id=known["id"],
        name=known["name"],
        folder=path,
        output=output,
        group=_group(folder, output),
        project=config.settings.track_project,
        config=said(config.plain()),
    )
    tellers = [_Teller(name, run, say) for name in config.settings.trackers]
    _wait(tellers)
    return tellers


def _wait(tellers: Sequence["_Teller"]) -> None:
    """Until each was told all, or patience with all of them is over."""
    until = time.monotonic() + PATIENCE_SECONDS
    for teller in tellers:
        teller.look_back(until)


def _name(path: Path, output: Path) -> str:
    """Of a run or multirun: its folder, from that of all runs on where it lies there."""
    return str(path.relative_to(output)) if path.is_relative_to(output) else path.name


def _group(folder: RunFolder, output: Path) -> Group | None:
    if folder.multirun is None:
        return None
    path = folder.multirun.absolute()
    return Group(str(read_json(path / MULTIRUN).get("id", path)), _name(path, output), path)


def _known(folder: RunFolder, output: Path) -> dict[str, str]:
    """The id and the name by which trackers know the run: those of its first time, for good."""
    try:
        known = read_json(folder.track)
    except CheckpointError:  # a damaged file costs the run its place in the trackers, and no more
        known = {}
    new = {"id": secrets.token_hex(6), "name": _name(folder.path.absolute(), output)}
    write_json(folder.track, stored := {key: str(known.get(key, value)) for key, value in new.items()})
    return stored


class _Teller:
    """Tells one tracker, in a thread of its own: what it raises, or waits for, is not the run's."""

    def __init__(self, name: TrackerName, run: Tracked, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._failed = False
        self._look = ""
        self._calls: SimpleQueue[tuple[Callable[[Tracker], object], Future[None]] | None] = SimpleQueue()
        self._open: deque[Future[None]] = deque()
        self._open.append(begun := Future[None]())
        Thread(target=self._work, args=(run, begun), name=f"track {name}", daemon=True).start()

    def tell(self, call: Callable[[Tracker], object]) -> None:
        """Hands a call over, unless one has failed."""
        self.look_back()
        if not self._failed:
            self._open.append(done := Future[None]())
            self._calls.put((call, done))

    def look_back(self, until: float = 0.0) -> None:
        """Takes note of the calls that are done until then, by time.monotonic(). Says it if one has failed."""
        try:
            while not self._failed and self._open and (until or self._open[0].done()):
                self._open[0].result(max(0.0, until - time.monotonic()))
                self._open.popleft()
        except Exception as error:  # whatever a library raises
            hangs = isinstance(error, TimeoutError) and not self._open[0].done()
            why = f"no answer in {PATIENCE_SECONDS:g} s" if hangs else f"{type(error).__name__}: {first_line(error)}"
            self._failed = True
            self._say(f"track: {self._name} failed ({why}) and is told no more. The run folder has all.")

    def end(self) -> None:
        """Lets the thread end, and says how to see what it was told."""
        self._calls.put(None)
        if not self._failed:
            self._say(f"{self._name}: {self._look}")

    def _work(self, run: Tracked, begun: Future[None]) -> None:
        """The thread: begins, and makes the calls until one fails."""
        done = begun
        try:
            tracker: Tracker = import_module(f"trainer.track.{self._name}").begin(run)
            self._look = tracker.look
            begun.set_result(None)
            while (told := self._calls.get()) is not None:
                call, done = told
                call(tracker)
                done.set_result(None)
        except BaseException as error:  # an exit too: it would end the thread alone, and unheard
            done.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
