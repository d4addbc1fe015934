"""make bench: speed and memory on this machine, as a table with the targets beside the figures.

python -m benchmarks [starts] [steps] [feeding] [augmentation] [memory] measures the sections that it names, or all.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.augmentation import beside_others, stack_over_step
from benchmarks.compiling import break_even
from benchmarks.engine import engine_over_bare
from benchmarks.feeding import fed_over_bare, photographs_beside_torchvision
from benchmarks.first_epoch import first_run
from benchmarks.memory import FEW, MANY, growth, peak_gib
from benchmarks.rates import Ratio
from benchmarks.startup import first_step, first_words
from benchmarks.sweeping import RUNS, beyond_training
from trainer.engine.device import choose_device

FASHION_MNIST = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


HEADS = ["measured", "ours", "beside", "ratio (least, greatest)", "target"]


def main(*sections: str) -> None:
    """Keeps each row as soon as it is measured, beside those that were measured before; prints them all at the end."""
    kept = {row[0]: row for row in results.read().get("bench", {}).get("rows", [])}
    for row in chain.from_iterable(SECTIONS[name]() for name in sections or SECTIONS):
        kept[row[0]] = list(row)
        results.write("bench", {"heads": HEADS, "rows": list(kept.values())})
    table = Table(*HEADS, title=_machine())
    for row in kept.values():
        table.add_row(*row)
    Console(width=130).print(table)


def _starts() -> Iterator[Sequence[str]]:
    for name, (torch_seconds, ours, ratios) in first_words().items():
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
        times = f"{ours:.2f} s", f"{torch_seconds:.2f} s"
        yield f"{name}, times faster than `import torch`", *times, spread, "at least 4"
    imports, step, beyond = first_step()
    later = f"{median(beyond):.2f} s more ({min(beyond):.2f}, {max(beyond):.2f})"
    seconds = f"{step:.2f} s", f"{imports:.2f} s"
    yield "first step, after `import torch, torchvision`", *seconds, later, "at most 1.5 s"
    together, alone = beyond_training()
    what = f"seconds beyond training, a run of a {RUNS}-run multirun over a process of its own"
    yield what, f"{together:.2f} s", f"{alone:.2f} s", f"{together / alone:.2f}", "at most 0.25"


def _steps() -> Iterator[Sequence[str]]:
    for name, size in (("small_cnn", 32), ("xresnet18", 64)):
        yield _row(f"engine step, {name} at {size} px, over a bare loop", engine_over_bare(name, size), "0.97")
    for name, size in (("small_cnn", 32), ("xresnet18", 64)) if choose_device("auto").type == "cpu" else ():
        ratio = engine_over_bare(name, size, kernels=True)
        yield _row(f"the same with our kernels, {name} at {size} px", ratio, "")
    found = break_even()
    speeds = f"{found.compiled_ms:.0f} ms a step", f"{found.plain_ms:.0f} ms a step"
    yield "compile=true, small_cnn at 28 px, beside our kernels", *speeds, found.words, ""


def _feeding() -> Iterator[Sequence[str]]:
    if FASHION_MNIST.is_dir():
        yield _row("Fashion-MNIST, fed and augmented, over the bare step", fed_over_bare(FASHION_MNIST), "0.80")
    else:
        yield f"Fashion-MNIST: not measured, there is no {FASHION_MNIST}", "", "", "", "0.80"
    for name, ratio in photographs_beside_torchvision():
        yield _row(name, ratio, "")
    first = first_run()
    filled = f"{first.filling_seconds:.1f} s", f"{first.epoch_seconds:.1f} s"
    yield "decoding 300 photographs, share of a first run of one epoch", *filled, f"{first.share:.2f}", ""


def _augmentation() -> Iterator[Sequence[str]]:
    yield _row("strong stack with noise and mixing, over a small_cnn step", stack_over_step(), "4.00")
    for name, ratio in beside_others():
        yield _row(name, ratio, "")


def _memory() -> Iterator[Sequence[str]]:
    for cache in ("disk", "none"):
        few, many = growth(cache)
        grown = f"peak memory, {MANY:,} images over {FEW:,}, data.cache={cache}"
        yield grown, f"{many:.0f} MiB", f"{few:.0f} MiB", f"{many / few:.2f}", "under 1.10"
    yield "peak memory, 60,000 resident images of 32 px", f"{peak_gib():.2f} GiB", "", "", "under 1.6 GiB"


def _row(what: str, ratio: Ratio, target: str) -> Sequence[str]:
    rates = f"{ratio.ours:,.0f} images/s", f"{ratio.theirs:,.0f} images/s"
    return what, *rates, f"{ratio.median:.2f} ({ratio.least:.2f}, {ratio.greatest:.2f})", target


def _machine() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"


SECTIONS = {
    "starts": _starts,
    "steps": _steps,
    "feeding": _feeding,
    "augmentation": _augmentation,
    "memory": _memory,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
