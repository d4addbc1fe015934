"""What a run of a multirun costs beyond its training, beside a process of its own for each."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 12
ALONE = 3
"""How many of the runs are also made in processes of their own; their mean stands for all."""
_SMALL = ("data=glyphs", "data.images=400", "epochs=1", "batch_size=64", "model.widths=[4,8]")


def beyond_training() -> tuple[float, float]:
    """Seconds a run beyond training and validating: of a multirun in one process, and of a fresh process each."""
    rates = [f"{0.001 * number:.3f}" for number in range(1, RUNS + 1)]
    together = _beyond("-m", f"optim.lr={','.join(rates)}")
    return together / RUNS, sum(_beyond(f"optim.lr={rate}") for rate in rates[:ALONE]) / ALONE


def _beyond(*words: str) -> float:
    """Seconds of the command less those that its runs have spent on training and validating."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        command = [sys.executable, "-m", "trainer", *words, f"output={folder}", *_SMALL]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begun
        summaries = [json.loads(path.read_text()) for path in Path(folder).rglob("summary.json")]
        return wall - sum(summary["seconds"] for summary in summaries)
