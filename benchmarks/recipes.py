"""make recipes: every recipe of conf/experiment/ trained again over its seeds, what it claims beside what comes out.

`python -m benchmarks.recipes [NAME ...] [key=value ...]` trains those that it names, or all, and beside each the
variants that VARIANTS has of it; key=value is said to every run (seed=0,1,2,3,4 epochs=20). What a recipe wants and
has no default for is said so too, or by the environment: FASHION_MNIST, CIFAR10_MINI and PHOTOS are folders, WEIGHTS
is a file. The accuracy is that of the test part where one is kept apart (of the best epoch), else that of validation at
the last epoch.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks import results
from trainer.config import conf_folder
from trainer.records.folder import read_json

HEADS = ("recipe", "claim, %", "accuracy, %", "difference", "seconds a run", "kept")
SEEDS = 3
"""How many, of a recipe that claims nothing yet."""
NEEDS = {
    "bag_of_tricks": {"data.root": "CIFAR10_MINI"},
    "cifar10_fast": {"data.root": "CIFAR10_MINI"},
    "fashion_mnist": {"data.root": "FASHION_MNIST"},
    "fashion_mnist_20": {"data.root": "FASHION_MNIST"},
    "finetune": {"data.root": "PHOTOS", "model.weights": "WEIGHTS"},
    "waste_sorter": {"data.root": "PHOTOS"},
}
"""What is to be said to a recipe, and the variable of the environment that may say it."""
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "bag_of_tricks": {
        "no warm-up": ("sched.warmup=0",),
        "no smoothing": ("loss.smoothing=0",),
        "no mixup": ("aug.mixup=0",),
        "no He initialisation": ("init=keep",),
        "steps, not a cosine": ("sched=step",),
        "none of them": ("sched=step", "loss.smoothing=0", "aug.mixup=0", "init=keep"),
    },
    "cifar10_fast": {
        "no whitening": ("init=keep",),
        "a coin's flip": ("aug.flip=0.5",),
        "AdamW": ("optim=adamw",),
        "no averaging": ("ema=0",),
        "no smoothing": ("loss.smoothing=0",),
    },
    "noisy_labels": {
        "all labels right": ("data.wrong_labels=0",),
        "the best epoch, by right labels": ("data.val=0.1",),
        "smoothing": ("loss.smoothing=0.2",),
        "mixup": ("aug.mixup=1",),
        "focal": ("loss=focal",),
        "squared difference": ("loss=mse",),
        "absolute difference": ("loss=l1",),
    },
}
_CLAIM = re.compile(
    r"(?P<mean>[\d.]+) % (?:test|validation) accuracy (?:at the last|of the best) epoch "
    r"\(mean of (?P<seeds>\d+) seeds, (?P<least>[\d.]+) to (?P<greatest>[\d.]+)\), "
    r"(?P<epochs>\d+) epochs, \d+ (?:s|min) on \S"
)
_NO_CLAIM = re.compile(r"\bIt claims no(thing yet| accuracy)\.")


@dataclass(frozen=True)
class Claim:
    """What a recipe says of itself: accuracies in per cent."""

    middle: float
    least: float
    greatest: float
    seeds: int
    epochs: int


@dataclass(frozen=True)
class Outcome:
    """What its runs came to: accuracies in per cent and seconds, one of each a seed; or why there are none."""

    accuracies: Sequence[float] = ()
    seconds: Sequence[float] = ()
    reason: str = ""


def recipes() -> dict[str, str]:
    """The opening of each recipe: the comment before its first line of YAML, by its name."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((conf_folder() / "experiment").iterdir())}
    return {name: _opening(text) for name, text in texts.items()}


def claim_of(opening: str) -> Claim | None:
    """What a recipe opens with; None where it says that it claims nothing. Raises ValueError where it says neither."""
    found = _CLAIM.match(opening)
    if found is None and not _NO_CLAIM.search(opening):
        raise ValueError(f"neither a claim nor 'It claims nothing yet.': {opening}")
    if found is None:
        return None
    middle, least, greatest = (float(found[name]) for name in ("mean", "least", "greatest"))
    return Claim(middle, least, greatest, int(found["seeds"]), int(found["epochs"]))


def main(*words: str) -> None:
    every = recipes()
    said = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word] or list(every)
    if unknown := sorted({*names} - {*every}):
        sys.exit(f"There is no recipe {unknown[0]}. There is {', '.join(every)}.")
    table = Table(*HEADS, title=_machine())
    for name in names:
        for cells in _rows(name, claim_of(every[name]), said):
            print(" | ".join(cells), flush=True)
            table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 130).print(table)


def _rows(name: str, claim: Claim | None, said: Sequence[str]) -> Iterator[Sequence[str]]:
    """The recipe as it stands, then its variants, each beside it."""
    keys = {word.partition("=")[0] for word in said}
    wanted = {key: variable for key, variable in NEEDS.get(name, {}).items() if key not in keys}
    if missing := [f"{key}=… or {variable}=…" for key, variable in wanted.items() if variable not in os.environ]:
        yield row(name, claim, Outcome(reason=f"say {' and '.join(missing)}"))
        return
    seeds = f"seed={','.join(map(str, range(claim.seeds if claim else SEEDS)))}"
    common = [f"experiment={name}", *(f"{key}={os.environ[variable]}" for key, variable in wanted.items())]
    common += [*said, *([] if "seed" in keys else [seeds])]
    whole = trained(common)
    yield row(name, claim, whole)
    for variant, changes in VARIANTS.get(name, {}).items() if whole.accuracies else ():
        yield row(f"{name}: {variant}", None, trained([*common, *changes]), beside=whole)


def trained(words: Sequence[str]) -> Outcome:
    """One multirun, in a folder that is gone afterwards."""
    with TemporaryDirectory() as output:
        command = [sys.executable, "-m", "trainer", "-m", "report=false", f"output={output}", "name=sweep", *words]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        summaries = [read_json(path) for path in sorted(Path(output).glob("multirun/sweep/*/summary.json"))]
    if ended.returncode:
        lines = ended.stderr.splitlines() or [f"it ended with {ended.returncode}"]
        return Outcome(reason=next((line for line in lines if "failed: " in line), lines[0]))
    accuracies = [100 * (each["test"] or {"accuracy": each["last"]["val_accuracy"]})["accuracy"] for each in summaries]
    return Outcome(accuracies, [each["seconds"] for each in summaries])


def row(name: str, claim: Claim | None, outcome: Outcome, beside: Outcome | None = None) -> Sequence[str]:
    """A line of the table. A claim is kept where the mean is no worse than the worst seed that it tells of."""
    if outcome.reason:
        return name, _claimed(claim), f"not run: {outcome.reason}", "", "", ""
    reached = mean(outcome.accuracies)
    difference = f"{reached - mean(beside.accuracies):+.2f}" if beside else ""
    kept = "" if claim is None else "yes" if round(reached, 2) >= claim.least else "NO"
    seconds = f"{mean(outcome.seconds):.0f}"
    return (
        name,
        _claimed(claim),
        _spread(reached, min(outcome.accuracies), max(outcome.accuracies)),
        difference,
        seconds,
        kept,
    )


def _claimed(claim: Claim | None) -> str:
    return _spread(claim.middle, claim.least, claim.greatest) if claim else "-"


def _spread(middle: float, least: float, greatest: float) -> str:
    return f"{middle:.2f} ({least:.2f} to {greatest:.2f})"


def _opening(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(line for line in lines if not line.startswith("@package"))


def _machine() -> str:
    machine = results.machine()
    return f"{machine['processor']}, {machine['cores']} cores, torch {machine['versions']['torch']}"


if __name__ == "__main__":
    main(*sys.argv[1:])
