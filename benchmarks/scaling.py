"""make bench-scaling: how time and memory grow with images, with pixels, and what loader processes give."""

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


def _run(what: str, *words: str) -> Sequence[str]:
    with tempfile.TemporaryDirectory() as folder:
        keep = (f"data.cache_dir={folder}/kept", f"output={folder}", "name=run")
        took = cost([sys.executable, "-m", "trainer", "data=glyphs", *words, *_LEAST_MODEL, *keep])
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    speed = summary["images_per_second"]
    return what, f"{took.wall_seconds:.1f}", f"{took.cpu_seconds:.1f}", f"{speed:,.0f}", f"{took.peak_mib:,.0f}"


if __name__ == "__main__":
    main()
