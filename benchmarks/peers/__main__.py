"""make bench-peers: every contestant in turn, each a process of its own, at least three rounds.

`python -m benchmarks.peers feeding` measures only the works that it names, and leaves the others' figures as they are.

PHOTOS=folder with train/ and val/ of class folders: real photographs; without it they are drawn.
FASHION_MNIST=folder of its IDX files. ROUNDS=3. TINY=1: only to see that everything runs.
A stopped benchmark goes on where it was.
"""

import json
import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import results
from benchmarks.measure import cost
from benchmarks.peers import images, with_ours
from benchmarks.peers.kept import Kept, Key, fingerprint
from benchmarks.peers.summary import joined, summarise
from benchmarks.peers.task import TASKS
from benchmarks.tables import shown

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / ".bench-peers"
TINY = os.environ.get("TINY") == "1"
PEERS = ("plain", "lightning", "fastai", "timm")
AT_BEST = (("ours", "default"), *((peer, "best") for peer in PEERS))
CONTESTANTS = {
    "photographs": (*AT_BEST, *((peer, "default") for peer in PEERS), ("ours", "again")),
    "fashion": AT_BEST,
    "feeding": (("ours", "default"), ("plain", "best"), ("fastai", "best"), ("timm", "best")),
}
"""Lightning has no loader of its own. Fashion-MNIST at their defaults would take another hour, and is no target."""


def main(*named: str) -> None:
    rounds = int(os.environ.get("ROUNDS", "3"))
    folders = image_folders()
    chosen = f"{os.environ.get('PHOTOS')} {os.environ.get('FASHION_MNIST')} {TINY}"
    kept = Kept(
        SCRATCH / "measurements.jsonl",
        fingerprint([ROOT / "trainer", ROOT / "conf", ROOT / "benchmarks/peers"], chosen),
    )
    works = [work for work in named or CONTESTANTS if work in (*folders, "feeding")]
    if not works or not {*named} <= {*CONTESTANTS}:
        sys.exit(f"Works are {', '.join(CONTESTANTS)}.")
    order = schedule(works, 1 if TINY else rounds)
    begun = time.perf_counter()
    for number, key in enumerate(order, start=1):
        if key in kept:
            continue
        value = measure(key, folders)
        kept.add(key, value)
        print(f"{number}/{len(order)} {time.perf_counter() - begun:5.0f} s  {' '.join(map(str, key))}: {_line(value)}")
    section = summarise({key: kept.found[key] for key in order}, os.environ.get("PHOTOS") is not None)
    if TINY:
        print(json.dumps(section, indent=1))
        return
    results.write("peers", joined(results.read().get("peers"), section))
    kept.forget()
    print(shown(results.read(), "peers"))
    print(f"Written to {results.path().relative_to(ROOT)}. For docs/performance.md: python -m benchmarks.tables")


def image_folders() -> dict[str, Path]:
    """The folder of each work whose images are at hand."""
    SCRATCH.mkdir(exist_ok=True)
    photos = os.environ.get("PHOTOS")
    source = Path(photos).expanduser() if photos else None
    made_by = f"{source} {TASKS['photographs']} {Path(images.__file__).read_text()}"
    name = f"photographs-{fingerprint([], made_by)}{'-tiny' * TINY}"
    folders = {"photographs": images.photographs(SCRATCH / name, TASKS["photographs"], source)}
    fashion = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")).expanduser()
    if fashion.is_dir():
        folders["fashion"] = images.fashion(SCRATCH / f"fashion{'-tiny' * TINY}", TASKS["fashion"], fashion)
    else:
        print(f"Fashion-MNIST is not measured: there is no {fashion}. Say FASHION_MNIST=FOLDER.")
    return folders


def schedule(works: list[str], rounds: int) -> list[Key]:
    """Round after round; in each the contestants begin with another one, so that none is always first."""
    order: list[Key] = []
    for number in range(rounds):
        for work in works:
            contestants = CONTESTANTS[work]
            turn = number * 2 % len(contestants)
            order += [(work, *each, number) for each in contestants[turn:] + contestants[:turn]]
    return order


def measure(key: Key, folders: dict[str, Path]) -> dict[str, Any]:
    work, library, settings, number = key
    if library == "ours" and work != "feeding":
        return _ours(work, settings, number, folders[work])
    task, what = ("photographs", "feed") if work == "feeding" else (work, "train")
    command = [sys.executable, "-m", "benchmarks.peers.run", library, settings, task, folders[task], number, what]
    took = asdict(cost([str(word) for word in command], folder=ROOT))
    return {**took, **json.loads(took.pop("output").splitlines()[-1])}


def _ours(work: str, settings: str, number: int, folder: Path) -> dict[str, Any]:
    """A first run, which finds no decoded images and no compiled kernels; or, with settings 'again', a later one."""
    with TemporaryDirectory() as scratch:
        here = Path(scratch)
        alone = {"XDG_CACHE_HOME": str(here / "cache")}
        command = with_ours.command(TASKS[work], folder, number, here / "run", here / "kept")
        if settings == "again":
            command.append("data.cache=disk")
            cost(command, folder=ROOT, extra=alone)
            assert any((here / "kept").iterdir()), "nothing was kept for this run"
            shutil.rmtree(here / "run")
        took = asdict(cost(command, folder=ROOT, extra=alone))
        del took["output"]
        return {**took, "accuracy": with_ours.accuracy(here / "run")}


def _line(value: dict[str, Any]) -> str:
    return ", ".join(f"{name} {figure:.4g}" for name, figure in value.items() if name != "output")


if __name__ == "__main__":
    main(*sys.argv[1:])
