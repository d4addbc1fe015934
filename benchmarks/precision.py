"""bf16 beside fp32: whether the faster arithmetic costs accuracy, over five seeds each.

python -m benchmarks.precision, with FASHION_MNIST=folder of its IDX files and CIFAR10_MINI=folder with train/ and test/
of class folders; a set that is not named is left out.
"""

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
SETS = {
    "FASHION_MNIST": ("data=fashion_mnist", "limit_train=6000", "epochs=2"),
    "CIFAR10_MINI": ("data=folder", "epochs=3"),
}


def accuracies(words: tuple[str, ...]) -> dict[str, list[float]]:
    """Test accuracy of the best epoch by precision, a figure a seed; from one multirun."""
    with TemporaryDirectory() as output:
        seeds = ",".join(map(str, range(SEEDS)))
        sweep = ["-m", f"output={output}", "name=sweep", f"seed={seeds}", "precision=fp32,bf16"]
        command = [sys.executable, "-m", "trainer", *words, *sweep]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # the sets run side by side
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=alone)
        runs = [read_json(file) for file in sorted(Path(output).glob("multirun/sweep/*/summary.json"))]
    found: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for run in runs:
        found[next(word for word in run["overrides"] if word.startswith("precision")).split("=")[1]].append(
            run["test"]["accuracy"]
        )
    return found


def main() -> None:
    named = {name: words for name, words in SETS.items() if name in os.environ}
    with ThreadPoolExecutor() as pool:
        sweeps = [(*words, f"data.root={os.environ[name]}") for name, words in named.items()]
        measured = list(pool.map(accuracies, sweeps))
    rows = []
    for (name, words), found in zip(named.items(), measured, strict=True):
        cells = [f"{statistics.mean(each):.2%} ({min(each):.2%} to {max(each):.2%})" for each in found.values()]
        rows.append([f"{name.lower()}: `{' '.join(words)}`", *cells])
    heads = [f"test accuracy, mean of {SEEDS} seeds (least to greatest)", "fp32", "bf16"]
    results.write("precision", {"heads": heads, "rows": rows})
    print(table(heads, rows))


if __name__ == "__main__":
    main()
