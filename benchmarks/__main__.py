"""make bench: speed and memory on this machine, as a table with the targets beside the figures."""

import os
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.augmentation import beside_others, stack_over_step
from benchmarks.engine import engine_over_bare
from benchmarks.feeding import fed_over_bare
from benchmarks.first_epoch import first_run
from benchmarks.memory import FEW, MANY, growth, peak_gib
from benchmarks.rates import Ratio

FASHION_MNIST = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


def main() -> None:
    table = Table("measured", "ours", "beside", "ratio (least, greatest)", "target", title=_machine())
    for name, size in (("small_cnn", 32), ("xresnet18", 64)):
        _add(table, f"engine step, {name} at {size} px, over a bare loop", engine_over_bare(name, size), "0.95")
    if FASHION_MNIST.is_dir():
        _add(table, "Fashion-MNIST, fed and augmented, over the bare step", fed_over_bare(FASHION_MNIST), "0.80")
    else:
        table.add_row(f"Fashion-MNIST: not measured, there is no {FASHION_MNIST}", "", "", "", "0.80")
    _add(table, "strong stack with noise and mixing, over a small_cnn step", stack_over_step(), "4.00")
    for name, ratio in beside_others():
        _add(table, name, ratio, "")
    table.add_row("peak memory, 60,000 resident images of 32 px", f"{peak_gib():.2f} GiB", "", "", "under 1.6 GiB")
    for cache in ("disk", "none"):
        few, many = growth(cache)
        grown = f"peak memory, {MANY:,} images over {FEW:,}, data.cache={cache}"
        table.add_row(grown, f"{many:.0f} MiB", f"{few:.0f} MiB", f"{many / few:.2f}", "under 1.10")
    first = first_run()
    filled = f"{first.filling_seconds:.1f} s", f"{first.epoch_seconds:.1f} s"
    table.add_row("decoding 300 photographs, share of a first run of one epoch", *filled, f"{first.share:.2f}", "")
    Console(width=130).print(table)


def _add(table: Table, what: str, ratio: Ratio, target: str) -> None:
    rates = f"{ratio.ours:,.0f} images/s", f"{ratio.theirs:,.0f} images/s"
    table.add_row(what, *rates, f"{ratio.median:.2f} ({ratio.least:.2f}, {ratio.greatest:.2f})", target)


def _machine() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"


main()
