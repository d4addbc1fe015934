"""bf16 beside fp32: whether the faster arithmetic costs accuracy, over five seeds each.

python -m benchmarks.precision, with FASHION_MNIST=folder of its IDX files and CIFAR10_MINI=folder with train/ and test/
of class folders; a set that is not named is left out. Model and sets are small, for bf16 is emulated on many machines.
"""

import math
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import results
from benchmarks.tables import table
from trainer.records.folder import read_json

SEEDS = 5
MODEL = ("model=small_cnn", "model.widths=[8,16,32]", "batch_size=64")
SETS = {
    "FASHION_MNIST": ("data=fashion_mnist", "limit_train=6000", "limit_val=1000", "limit_test=all", "epochs=3"),
    "CIFAR10_MINI": ("data=folder", "epochs=4"),
}


def accuracies(words: tuple[str, ...]) -> dict[str, list[float]]:
    """Test accuracy of the best epoch by precision, a figure a seed; from one multirun."""
    with TemporaryDirectory() as output:
        seeds = ",".join(map(str, range(SEEDS)))
        sweep = ["-m", f"output={output}", "name=sweep", f"seed={seeds}", "precision=fp32,bf16"]
        command = [sys.executable, "-m", "trainer", *words, *MODEL, *sweep]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # the sets run side by side
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=alone)
        runs = [read_json(file) for file in sorted(Path(output).glob("multirun/sweep/*/summary.json"))]
    found: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for run in runs:
        found[next(word for word in run["overrides"] if word.startswith("precision")).split("=")[1]].append(
            run["test"]["accuracy"]
        )
    return found


def compared(fp32: list[float], bf16: list[float]) -> list[str]:
    """The cells of a row. The noise is the standard deviation over seeds, which fp32 and bf16 are taken to share."""
    spreads = [f"{statistics.mean(each):.2%} ({min(each):.2%} to {max(each):.2%})" for each in (fp32, bf16)]
    difference = statistics.mean(bf16) - statistics.mean(fp32)
    noise = math.sqrt((statistics.variance(fp32) + statistics.variance(bf16)) / 2)
    return [*spreads, f"{100 * difference:+.2f} points", f"{100 * noise:.2f} points"]


def main() -> None:
    named = {name: words for name, words in SETS.items() if name in os.environ}
    with ThreadPoolExecutor() as pool:
        sweeps = [(*words, f"data.root={os.environ[name]}") for name, words in named.items()]
        measured = list(pool.map(accuracies, sweeps))
    rows = [
        [f"{name.lower()}: `{' '.join(words)}`", *compared(**found)]
        for (name, words), found in zip(named.items(), measured, strict=True)
    ]
    heads = [f"test accuracy, mean of {SEEDS} seeds (least to greatest)", "fp32", "bf16", "difference", "noise"]
    results.write("precision", {"heads": heads, "rows": rows})
    print(table(heads, rows))


if __name__ == "__main__":
    main()
