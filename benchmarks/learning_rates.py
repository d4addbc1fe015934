"""Whether find_lr finds the rate: the final accuracy of whole runs at nine rates, and at the one that it names.

`python -m benchmarks.learning_rates OUTPUT [NAME ...]` trains on the sets that it names, or all, in this folder, where
finished runs are kept and not trained again; then it prints the table. CIFAR10_MINI and PHOTOS are folders, WEIGHTS is a
file of tf_efficientnet_lite0's, FASHION_MNIST a folder; a set whose variables are not there is left out. One thread and
small runs: some ten seconds each on one core.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from trainer.cli.main import main as trainer
from trainer.records.folder import read_json
from trainer.records.metrics import read_metrics

STEPS = range(-4, 5)
FACTOR = 10**0.5
SEEDS = (0,)
COMMON = ("device=cpu", "report=false")
SHORT = ("batch_size=32", "limit_train=1600", "epochs=5")
SMALL = ("model=small_cnn", "model.widths=[16,32,64]", "data.size=16", *SHORT)
LITE = ("model=timm", "model.arch=tf_efficientnet_lite0", "finetune=none")
TESTED = ("data.val=test", "limit_val=500", "preset=none")


@dataclass(frozen=True)
class Task:
    """Pictures and a model, and the middle of the nine rates for each optimizer."""

    words: tuple[str, ...]
    middles: dict[str, float]
    needs: dict[str, str]
    """What is said to it: a key, and the variable of the environment that holds it."""


FROM_SCRATCH = {"sgd": 0.1, "adamw": 0.003}
TASKS = {
    "glyphs": Task(("data=glyphs", "data.classes=4", *TESTED, *SMALL), FROM_SCRATCH, {}),
    "fashion_mnist": Task(
        ("data=fashion_mnist", *TESTED, "model=mlp", *SHORT),
        FROM_SCRATCH,
        {"data.root": "FASHION_MNIST"},
    ),
    "cifar10-mini": Task(("data=folder", *TESTED, *SMALL), FROM_SCRATCH, {"data.root": "CIFAR10_MINI"}),
    "photos-mini": Task(
        ("data=folder", *LITE, "data.size=64", "batch_size=16", "epochs=6"),
        {"sgd": 0.01, "adamw": 0.0003},
        {"data.root": "PHOTOS", "model.weights": "WEIGHTS"},
    ),
}


def runs(name: str, task: Task, optim: str, seed: int, output: Path) -> dict[float, float]:
    """The accuracy of validation after the last epoch, rate by rate: 0 of a run that diverged."""
    words = [*task.words, *COMMON, *(f"{key}={os.environ[variable]}" for key, variable in task.needs.items())]
    reached = {}
    for step in STEPS:
        rate = float(f"{task.middles[optim] * FACTOR**step:.3g}")
        folder = output / f"{name}-{optim}-{rate:g}-{seed}"
        if not (folder / "summary.json").exists():
            said = [*words, f"optim={optim}", f"optim.lr={rate:g}", f"seed={seed}", f"output={output}"]
            with redirect_stdout(StringIO()):
                trainer([*said, f"name={folder.name}"])
        reached[rate] = final(folder)
    return reached


def final(folder: Path) -> float:
    """In percent."""
    if read_json(folder / "summary.json")["status"] != "finished":
        return 0.0
    return (
        100 * [line["val_accuracy"] for line in read_metrics(folder / "metrics.jsonl") if line["kind"] == "epoch"][-1]
    )


if __name__ == "__main__":
    output = Path(sys.argv[1])
    for seed in SEEDS:
        for name in sys.argv[2:] or TASKS:
            for optim in ("adamw", "sgd"):
                print(seed, name, optim, runs(name, TASKS[name], optim, seed, output), flush=True)
