"""Whether find_lr finds the rate: the final accuracy of whole runs at nine rates, beside that at the one it suggests.

`python -u -m benchmarks.learning_rates OUTPUT [NAME ...] [key=value ...]` trains on the sets that it names, or on all,
and prints a row for each optimizer; key=value is said to every run: epochs=20. FASHION_MNIST, CIFAR10_MINI and PHOTOS
are folders, WEIGHTS is a file of tf_efficientnet_lite0; a set that wants what the environment does not say is left out.
What lies in OUTPUT is not trained again, so that a broken measurement goes on where it stood.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from trainer.cli.main import main as trainer
from trainer.records.folder import read_json
from trainer.records.metrics import read_metrics

FACTOR = 10**0.5
PLACES = range(-4, 5)
SEEDS = (0,)
SAME = 1.02
"""Rates that differ by less are one: a grid rounds to three digits, and a suggestion to two."""
COMMON = ("device=cpu", "report=false")
TESTED = ("preset=none", "data.val=test", "limit_val=500")
SHORT = ("limit_train=1600", "batch_size=32", "epochs=5")
SMALL = ("model=small_cnn", "model.widths=[16,32,64]", "data.size=16")
LITE = ("model=timm", "model.arch=tf_efficientnet_lite0", "finetune=none")


@dataclass(frozen=True)
class Case:
    """Pictures and a network, and the middle of the nine rates for each optimizer."""

    words: tuple[str, ...]
    middles: dict[str, float]
    needs: dict[str, str]
    """What is said to it, and the variable of the environment that says it."""


FROM_SCRATCH = {"adamw": 0.003, "sgd": 0.1}
CASES = {
    "fashion_mnist": Case(
        ("data=fashion_mnist", *TESTED, *SHORT, "model=mlp"), FROM_SCRATCH, {"data.root": "FASHION_MNIST"}
    ),
    "photos": Case(
        ("data=folder", *LITE, "data.size=64", "batch_size=16", "epochs=6"),
        {"adamw": 0.0003, "sgd": 0.01},
        {"data.root": "PHOTOS", "model.weights": "WEIGHTS"},
    ),
    "cifar10-mini": Case(("data=folder", *TESTED, *SHORT, *SMALL), FROM_SCRATCH, {"data.root": "CIFAR10_MINI"}),
    "glyphs": Case(("data=glyphs", "data.classes=4", *TESTED, *SHORT, *SMALL), FROM_SCRATCH, {}),
}


@dataclass(frozen=True)
class Bench:
    """One set with one optimizer and seed, in the folder of all."""

    name: str
    optim: str
    seed: int
    output: Path
    words: tuple[str, ...]

    def grid(self) -> dict[float, float]:
        """The accuracy at each of the nine rates."""
        rates = (float(f"{CASES[self.name].middles[self.optim] * FACTOR**place:.3g}") for place in PLACES)
        return {rate: self.accuracy(rate) for rate in rates}

    def accuracy(self, rate: float) -> float:
        """Of validation after the last epoch, in percent: 0 of a run that diverged."""
        folder = self.output / f"{self.name}-{self.optim}-{rate:g}-{self.seed}"
        if not (folder / "summary.json").exists():
            _quietly(*self._said(), f"optim.lr={rate:g}", f"name={folder.name}", "resume=auto")
        if read_json(folder / "summary.json")["status"] != "finished":
            return 0.0
        *_, last = (line for line in read_metrics(folder / "metrics.jsonl") if line["kind"] == "epoch")
        return 100 * float(last["val_accuracy"])

    def suggestion(self) -> tuple[float, str] | None:
        """find_lr's rate, and what it took; None if it finds none."""
        told = self.output / f"{self.name}-{self.optim}-find_lr-{self.seed}.txt"
        if not told.exists():
            told.write_text(_quietly("find_lr", *self._said(), f"name={told.stem}"), encoding="utf-8")
        found = re.search(r"^suggested: optim\.lr=(\S+): .*\((.*)\)\.$", told.read_text(encoding="utf-8"), re.MULTILINE)
        return (float(found[1]), found[2]) if found else None

    def _said(self) -> list[str]:
        case = CASES[self.name]
        needed = (f"{key}={os.environ[variable]}" for key, variable in case.needs.items())
        of_run = (f"optim={self.optim}", f"seed={self.seed}", f"output={self.output}")
        return [*case.words, *COMMON, *needed, *of_run, *self.words]


def rows(output: Path, names: Sequence[str], words: tuple[str, ...]) -> Iterator[str]:
    """Of a table in Markdown, one for each set, optimizer and seed."""
    yield "| set | optimizer | best of nine | suggested | points below the best | cost |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        for optim in CASES[name].middles:
            for seed in SEEDS:
                yield _row(Bench(name, optim, seed, output, words))


def _row(bench: Bench) -> str:
    grid, found = bench.grid(), bench.suggestion()
    best = max(grid, key=lambda rate: grid[rate])
    start = f"| {bench.name} | {bench.optim} | {best:.2g}: {grid[best]:.1f} %"
    if found is None:
        stays = CASES[bench.name].middles[bench.optim]
        return f"{start} | none; {stays:g} stays: {grid[stays]:.1f} % | {grid[best] - grid[stays]:.1f} | |"
    rate, cost = found
    tried = next((each for each in grid if rate / SAME < each < rate * SAME), rate)
    reached = grid[tried] if tried in grid else bench.accuracy(rate)
    return f"{start} | {rate:.2g}: {reached:.1f} % | {grid[best] - reached:.1f} | {cost} |"


def _quietly(*words: str) -> str:
    """What the command prints."""
    with redirect_stdout(StringIO()) as told, redirect_stderr(told):
        trainer(list(words))
    return told.getvalue()


if __name__ == "__main__":
    known = [name for name, case in CASES.items() if all(each in os.environ for each in case.needs.values())]
    named = [word for word in sys.argv[2:] if "=" not in word]
    for row in rows(Path(sys.argv[1]), named or known, tuple(word for word in sys.argv[2:] if "=" in word)):
        print(row)
