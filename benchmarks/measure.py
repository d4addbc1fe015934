"""A whole process from its start to its end: wall seconds, CPU seconds and the peak memory of its whole tree."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_EVERY_SECONDS = 0.5
"""A look at 1.5 GiB takes 25 ms of a core, in which the process may not map memory: at five a second, an eighth."""


@dataclass(frozen=True)
class Cost:
    """What a command took. Memory is the proportional set size: pages that processes share are counted once."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str
    """The end of what it wrote to its standard output."""


def cost(command: Sequence[str], *, folder: Path | None = None, extra: Mapping[str, str] | None = None) -> Cost:
    """Runs the command, its children included in every figure.

    folder: where it runs. extra: environment variables. Raises RuntimeError with the end of its errors if it fails.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, cwd=folder, env={**os.environ, **(extra or {})}
        )
        peak = _Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)  # the usage of the process and of all the children it waited for
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        bytes_at_peak = peak.stop()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{_end(errors)}{_end(output)}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, bytes_at_peak / 2**20, _end(output))


def _end(file: "tempfile._TemporaryFileWrapper[str]", most: int = 4000) -> str:
    file.seek(0)
    return file.read()[-most:]


class _Peak:
    """Looks at the memory of a process and its descendants twice a second, in a thread."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.highest = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        """The highest sum of bytes that was seen."""
        self.stopped.set()
        self.thread.join()
        return self.highest

    def _watch(self) -> None:
        while not self.stopped.wait(_EVERY_SECONDS):
            with suppress(psutil.Error):
                tree = [self.root, *self.root.children(recursive=True)]
                self.highest = max(self.highest, sum(map(_resident_bytes, tree)))


def _resident_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))
    return 0
