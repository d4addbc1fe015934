"""compile=true beside the step as it is: what torch's compiler costs at the start, what it saves, when that is even."""

import itertools
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from trainer.records.lines import read_metrics

_TASK = ("data=glyphs", "data.images=4000", "data.size=28", "epochs=2", "log_every=1", "limit_val=100")
_SETTLED = 10
"""Steps after which nothing is compiled any more."""


@dataclass(frozen=True)
class BreakEven:
    """start_seconds: how much later the first step is done. The others are medians of single steps."""

    start_seconds: float
    compiled_ms: float
    plain_ms: float

    @property
    def words(self) -> str:
        start = f"{self.start_seconds:.0f} s more at the start"
        if self.compiled_ms >= self.plain_ms:
            return f"{start}, never even"
        return f"{start}, even after {1000 * self.start_seconds / (self.plain_ms - self.compiled_ms):,.0f} steps"


def break_even() -> BreakEven:
    """Of two runs of the default model, one after the other."""
    plain_start, plain = _run("compile=false")
    compiled_start, compiled = _run("compile=true")
    return BreakEven(compiled_start - plain_start, 1000 * compiled, 1000 * plain)


def _run(word: str) -> tuple[float, float]:
    """Seconds of training up to the end of the first step, and of a later one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainer", *_TASK, word, f"output={folder}", "name=run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = [line for line in read_metrics(Path(folder) / "run" / "metrics.jsonl") if line["kind"] == "step"]
    first_epoch = [line["seconds"] for line in lines if line["epoch"] == 1]
    later = first_epoch[_SETTLED:]
    return first_epoch[0], statistics.median(after - before for before, after in itertools.pairwise(later))
