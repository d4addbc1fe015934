"""One contestant, once, in this process: its last line of output is what it came to, as JSON.

python -m benchmarks.peers.run plain best photographs FOLDER SEED train|feed
"""

import json
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer.system.threads import wait_without_spinning

LATER_EPOCHS = 3


def main(library: str, settings: str, task: str, folder: str, seed: str, what: str) -> None:
    warnings.filterwarnings("ignore")
    if library == "ours":
        wait_without_spinning()  # as its command does
    import torch

    from benchmarks.peers.task import TASKS

    torch.manual_seed(int(seed))
    contestant = import_module(f"benchmarks.peers.with_{library}")
    arguments = TASKS[task], Path(folder), settings == "best"
    if what == "train":
        result: dict[str, Any] = {"accuracy": contestant.train(*arguments)}
    else:
        result = rates(contestant.epochs(*arguments))
    print(json.dumps(result))


def rates(epochs: Any) -> dict[str, float]:
    """Images a second over the first epoch, from the first look into the folder on, and over the ones after it."""
    begun = time.perf_counter()
    first = sum(len(images) for images in next(epochs))
    first_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    later = sum(len(images) for _ in range(LATER_EPOCHS) for images in next(epochs))
    return {"first": first / first_seconds, "later": later / (time.perf_counter() - begun)}


if __name__ == "__main__":
    main(*sys.argv[1:])
