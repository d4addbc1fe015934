"""make bench: speed and memory on this machine, as a table with the targets beside the figures."""

import os
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.augmentation import beside_others, stack_over_step
from benchmarks.engine import engine_over_bare
from benchmarks.feeding import fed_over_bare, photographs_beside_torchvision
from benchmarks.first_epoch import first_run
from benchmarks.memory import FEW, MANY, growth, peak_gib
from benchmarks.rates import Ratio
from benchmarks.startup import first_step, first_words
from benchmarks.sweeping import RUNS, beyond_training

FASHION_MNIST = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


def main() -> None:
    table = Table("measured", "ours", "beside", "ratio (least, greatest)", "target", title=_machine())
    for name, size in (("small_cnn", 32), ("xresnet18", 64)):
        _add(table, f"engine step, {name} at {size} px, over a bare loop", engine_over_bare(name, size), "0.97")
    if FASHION_MNIST.is_dir():
        _add(table, "Fashion-MNIST, fed and augmented, over the bare step", fed_over_bare(FASHION_MNIST), "0.80")
    else:
        table.add_row(f"Fashion-MNIST: not measured, there is no {FASHION_MNIST}", "", "", "", "0.80")
    for name, ratio in photographs_beside_torchvision():
        _add(table, name, ratio, "")
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
    _add_starts(table)
    Console(width=130).print(table)
    columns = [list(map(str, column.cells)) for column in table.columns]
    heads = [str(column.header) for column in table.columns]
    results.write("bench", {"heads": heads, "rows": [list(row) for row in zip(*columns, strict=True)]})


def _add_starts(table: Table) -> None:
    for name, (torch_seconds, ours, ratios) in first_words().items():
        table.add_row(
            f"{name}, times faster than `import torch`",
            f"{ours:.2f} s",
            f"{torch_seconds:.2f} s",
            f"{median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})",
            "at least 4",
        )
    imports, step, beyond = first_step()
    later = f"{median(beyond):.2f} s more ({min(beyond):.2f}, {max(beyond):.2f})"
    table.add_row(
        "first step, after `import torch, torchvision`", f"{step:.2f} s", f"{imports:.2f} s", later, "at most 1.5 s"
    )
    together, alone = beyond_training()
    what = f"seconds beyond training, a run of a {RUNS}-run multirun over a process of its own"
    table.add_row(what, f"{together:.2f} s", f"{alone:.2f} s", f"{together / alone:.2f}", "at most 0.25")


def _add(table: Table, what: str, ratio: Ratio, target: str) -> None:
    rates = f"{ratio.ours:,.0f} images/s", f"{ratio.theirs:,.0f} images/s"
    table.add_row(what, *rates, f"{ratio.median:.2f} ({ratio.least:.2f}, {ratio.greatest:.2f})", target)


def _machine() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
