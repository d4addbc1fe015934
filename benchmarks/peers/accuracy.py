"""Whether we learn as much as the plain loop from the same training, over more seeds than the three rounds have.

python -m benchmarks.peers.accuracy, in the environment and with the folders of make bench-peers; it takes the names of
works, as that does. SEEDS=10.
A stopped benchmark goes on where it was.
"""

import math
import os
import statistics
import sys

from benchmarks import results
from benchmarks.peers.__main__ import ROOT, SCRATCH, image_folders, measure
from benchmarks.peers.kept import Kept, fingerprint
from benchmarks.peers.task import TASKS
from benchmarks.tables import table

FIRST_SEED = 100
"""The seeds of the rounds are 0, 1, 2: these are others."""
OURS, THEIRS = ("ours", "default"), ("plain", "best")


def compared(ours: list[float], theirs: list[float]) -> list[str]:
    """The cells of a row. The noise is twice the standard error of the difference, by the spread over the seeds."""
    spreads = [f"{statistics.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})" for each in (ours, theirs)]
    difference = statistics.mean(ours) - statistics.mean(theirs)
    noise = 2 * math.sqrt(sum(statistics.variance(each) / len(each) for each in (ours, theirs)))
    return [*spreads, f"{difference:+.3f}", f"{noise:.3f}"]


def main(*named: str) -> None:
    count = int(os.environ.get("SEEDS", "10"))
    if count < 2 or not {*named} <= {*TASKS}:
        sys.exit(f"Works are {', '.join(TASKS)}; SEEDS is 2 or more, for the noise is their spread.")
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    folders = image_folders()
    code = fingerprint([ROOT / "trainer", ROOT / "conf", ROOT / "benchmarks/peers"], str(folders))
    kept = Kept(SCRATCH / "accuracy.jsonl", code)
    works = [work for work in named or TASKS if work in folders]
    for key in [(work, *who, seed) for work in works for seed in seeds for who in (OURS, THEIRS)]:
        if key not in kept:
            kept.add(key, measure(key, folders))
            print(*key, kept.found[key]["accuracy"])
    rows = {row[0]: row for row in results.read().get("accuracy", {}).get("rows", [])}
    for work in works:
        found = ([kept.found[(work, *who, seed)]["accuracy"] for seed in seeds] for who in (OURS, THEIRS))
        rows[work] = [work, str(len(seeds)), *compared(*found)]
    heads = ["validation accuracy, mean (least to greatest)", "seeds", "ours", "PyTorch + torchvision's"]
    section = {"heads": [*heads, "difference", "noise"], "rows": list(rows.values())}
    results.write("accuracy", section)
    kept.forget()
    print(table(section["heads"], section["rows"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
