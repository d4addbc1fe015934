"""How long until the first word, and until the first training step, beside importing torch alone."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 5
_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 120
_SMALL_SET = ("data=glyphs", "data.images=640", "epochs=1", "log_every=1")
WORDS = {"--help": ("--help",), "--cfg job": ("--cfg", "job"), "a typo": ("modle=small_cnn",)}


def first_words() -> dict[str, tuple[float, float, list[float]]]:
    """Of each command that trains nothing: median seconds of `import torch` and of it, and the ratios of the rounds."""
    contestants = {"torch": _imports("torch")} | {name: _command(*words) for name, words in WORDS.items()}
    seconds = _in_turn(contestants)
    torch = seconds.pop("torch")
    return {
        name: (
            statistics.median(torch),
            statistics.median(ours),
            [theirs / mine for theirs, mine in zip(torch, ours, strict=True)],
        )
        for name, ours in seconds.items()
    }


def first_step() -> tuple[float, float, list[float]]:
    """Median seconds of `import torch, torchvision`, of ours up to the end of the first step, and the differences."""
    seconds = _in_turn({"import": _imports("torch", "torchvision"), "step": _until_the_first_step})
    pairs = zip(seconds["step"], seconds["import"], strict=True)
    return (
        statistics.median(seconds["import"]),
        statistics.median(seconds["step"]),
        [ours - bare for ours, bare in pairs],
    )


def _in_turn(contestants: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds of each, ROUNDS times in turn, after once to fill the page cache."""
    for measure in contestants.values():
        measure()
    rounds = [{name: measure() for name, measure in contestants.items()} for _ in range(ROUNDS)]
    return {name: [each[name] for each in rounds] for name in contestants}


def _imports(*modules: str) -> Callable[[], float]:
    return lambda: _wall([sys.executable, "-c", f"import {', '.join(modules)}"], 0)


def _command(*words: str) -> Callable[[], float]:
    return lambda: _wall([sys.executable, "-m", "trainer", *words], 2 if words == WORDS["a typo"] else 0)


def _wall(command: list[str], code: int) -> float:
    begun = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - begun
    assert ended.returncode == code, f"{command} ended with {ended.returncode}"
    return seconds


def _until_the_first_step() -> float:
    """Seconds until the record of the first step is on the disk; the run is then ended."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainer", f"output={folder}", "name=run", *_SMALL_SET]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not _has_a_step(Path(folder) / "run" / "metrics.jsonl"):
                assert process.poll() is None, "the run ended without a step"
                assert time.perf_counter() - begun < _PATIENCE_SECONDS, "no step came"
                time.sleep(_POLL_SECONDS)
            return time.perf_counter() - begun
        finally:
            process.kill()
            process.wait()


def _has_a_step(metrics: Path) -> bool:
    return metrics.exists() and '"kind": "step"' in metrics.read_text()
