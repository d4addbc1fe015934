"""make bench-scaling: how time and memory grow with images and pixels, and what loaders and several processes give."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.measure import cost
from benchmarks.tables import table

IMAGES = (1_000, 10_000, 50_000, 200_000)
PIXELS = (32, 64, 128, 256)
WORKERS = (0, 1, 2, 4)
PROCESSES = ((1, 1), (1, 2), (2, 1))
"""How many train together, and the threads of each."""
_LEAST_MODEL = ("model.widths=[4,8]", "epochs=1", "batch_size=64")
"""So small that the data are what is measured."""
HEADS = ("what grows", "whole run, s", "CPU, s", "images/s in training", "peak memory, MiB")


def main() -> None:
    shrink = 100 if os.environ.get("TINY") == "1" else 1
    rows = []
    for row in measured(shrink):
        print(*row, sep="  ")
        rows.append(list(row))
    if shrink == 1:
        results.write("scaling", {"heads": list(HEADS), "rows": rows})
    print(table(HEADS, rows))


def measured(shrink: int) -> Iterator[Sequence[str]]:
    for images in IMAGES:
        count = max(100, images // shrink)
        yield _run(f"{count:,} glyphs of 28 px", f"data.images={count}", "data.size=28")
    for pixels in PIXELS:
        count = max(100, 4_000 // shrink)
        yield _run(f"{pixels} px, {count:,} glyphs", f"data.images={count}", f"data.size={pixels}")
    for workers in WORKERS:
        count = max(100, 4_000 // shrink)
        words = (f"data.images={count}", "data.size=128", "data.cache=none", f"workers={workers}")
        yield _run(f"{workers} workers, {count:,} glyphs of 128 px drawn anew each time", *words)
    for processes, threads in PROCESSES:
        count = max(100, 2_000 // shrink)
        what = f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}, {count:,} glyphs"
        words = (f"data.images={count}", "data.size=64", "model=xresnet18", "epochs=1", "sync_batch_norm=true")
        yield _run(f"{what} of 64 px, xresnet18", *words, processes=processes, threads=threads)


def _run(what: str, *words: str, processes: int = 1, threads: int | None = None) -> Sequence[str]:
    """threads: of each process; None for as many as there are cores."""
    several = ("-m", "torch.distributed.run", f"--nproc-per-node={processes}") if processes > 1 else ()
    model = _LEAST_MODEL if threads is None else ()
    extra = None if threads is None else {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        keep = (f"data.cache_dir={folder}/kept", f"output={folder}", "name=run")
        took = cost([sys.executable, *several, "-m", "trainer", "data=glyphs", *words, *model, *keep], extra=extra)
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    speed = summary["images_per_second"]
    return what, f"{took.wall_seconds:.1f}", f"{took.cpu_seconds:.1f}", f"{speed:,.0f}", f"{took.peak_mib:,.0f}"


if __name__ == "__main__":
    main()
