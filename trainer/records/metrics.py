"""metrics.jsonl: one object a line, appended as things happen."""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.engine.checkpoint import SaveError
from trainer.engine.state import renumbered
from trainer.records.folder import cannot_write, replace_text
from trainer.records.lines import read_metrics

Listener = Callable[[dict[str, Any]], None]
"""Is told each line as plain data, once it was written."""


class MetricsFile:
    """Appends lines of kind step, epoch or event, each at once, so that a killed run loses none.

    What a full disk does not take is kept, and written before the next line: none is lost, and none is torn.
    """

    def __init__(self, path: Path, listener: Listener = lambda _: None) -> None:
        self._owed = b""
        self._listener = listener
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._path = path

    def append(self, kind: str, step: int, epoch: int, **values: Any) -> None:
        """One line. Numbers that JSON cannot say (infinities, NaN) become null."""
        line = {"kind": kind, "step": step, "epoch": epoch, **{key: _sayable(each) for key, each in values.items()}}
        self._owed += (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        with suppress(OSError):  # `sync` tells, before a checkpoint relies on it
            self._write()
        self._listener(line)

    def sync(self) -> None:
        """Puts all lines on the disk. Raises SaveError if it does not take them."""
        try:
            self._write()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SaveError(f"{self._path} cannot be written: {error.strerror}") from error

    def _write(self) -> None:
        while self._owed:
            self._owed = self._owed[self._file.write(self._owed) :]

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def rewind(path: Path, step: int, epoch: int, steps_before: int = 1, steps_now: int = 1) -> None:
    """Takes back the step and epoch lines that lie beyond a checkpoint: the resumed run writes them anew.

    The others are numbered as if an epoch had always had steps_now. It had steps_before when the checkpoint was taken,
    and when a line was written, as many as that tells; one of an earlier release does not, and then had steps_before.
    """
    lines = [line for line in read_metrics(path) if _lies_within(line, step, epoch, steps_before)]
    lines = [_numbered(line, steps_before, steps_now) for line in lines]
    replace_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _lies_within(line: dict[str, Any], step: int, epoch: int, steps: int) -> bool:
    """Whether the line is an event, or tells of what came before a checkpoint of this step, in epochs of so many."""
    if line["kind"] != "step":
        return bool(line["kind"] == "event" or line["epoch"] <= epoch)
    begun, own_steps = line["epoch"] - 1, line.get("steps_per_epoch", steps)
    done = line["step"] - begun * own_steps
    # Shares of the epoch are compared: of a run that was killed before it saved, only the lines are numbered anew.
    return bool((begun, done * steps) <= (epoch, (step - epoch * steps) * own_steps))


def _numbered(line: dict[str, Any], steps_before: int, steps_now: int) -> dict[str, Any]:
    """The line as if every epoch had always had as many steps as it has now."""
    if line["kind"] == "event":
        return line
    if line["kind"] == "epoch":
        return {**line, "step": line["epoch"] * steps_now}
    step = renumbered(line["step"], line["epoch"] - 1, line.get("steps_per_epoch", steps_before), steps_now)
    return {**line, "step": step, "steps_per_epoch": steps_now}


def _sayable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sayable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_sayable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
