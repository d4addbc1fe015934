"""Predicting from disk: beside a plain loop of torch and torchvision, and one of timm's parts, each a whole process.

    python -m benchmarks.predict [images]

PHOTOS=FOLDER takes its pictures instead of drawn ones, WEIGHTS=FILE adds tf_efficientnet_lite0 with those weights.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from benchmarks.measure import cost
from trainer.data.formats import SUFFIXES

IMAGES, SIDE, ROUNDS, MORE = 2000, 500, 3, 20
FEW = 100
"""Pictures by which memory is measured, and then on MORE times as many."""
CLASSES = 10
_COLUMNS = "measured", "ours", "beside", "ratio (least, greatest)", "target"


@dataclass(frozen=True)
class Case:
    """A network, the pixels of a side that it sees, and the run that holds it."""

    arch: str
    size: int
    run: Path


@dataclass(frozen=True)
class Measured:
    """Images/s of the whole process, a round each."""

    ours: list[float]
    plain: list[float]
    timm: list[float]
    engine: str
    """What has answered of ours."""


def main(images: int = IMAGES) -> None:
    """Prints the table."""
    console, table = Console(width=140), Table(*_COLUMNS, title="predict, whole processes")

    def tell(row: Sequence[str]) -> None:
        """At once, for all of it takes minutes; the table comes at the end."""
        console.print(" | ".join(row), highlight=False)
        table.add_row(*row)

    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        photos = Path(os.environ.get("PHOTOS") or _drawn(Path(place) / "photos", images))
        for case in _cases(Path(place)):
            for row in _rows(case, photos):
                tell(row)
        small = next(_cases(Path(place)))
        tell(_latency(small, next(iter(_files(photos)))))
        tell(_memory(small, photos, Path(place) / "many"))
    console.print(table)


def _rows(case: Case, photos: Path) -> Iterator[Sequence[str]]:
    """The first call of ours may export the network, and warms the disk for all; what it takes stands in a row."""
    begun = time.perf_counter()
    ours(case, photos)
    first = time.perf_counter() - begun
    found = measure(case, photos)
    for name, theirs in (("torch + torchvision", found.plain), ("timm's loader", found.timm)):
        pairs = [mine / other for mine, other in zip(found.ours, theirs, strict=True)]
        rates = f"{statistics.median(found.ours):.0f} images/s", f"{statistics.median(theirs):.0f} images/s"
        spread = f"{statistics.median(pairs):.2f} ({min(pairs):.2f}, {max(pairs):.2f})"
        yield f"{case.arch} at {case.size} px, {found.engine}, over {name}", *rates, spread, "at least 2"
    yield f"{case.arch}, the very first time", f"{first:.1f} s", "", "", ""


def measure(case: Case, photos: Path) -> Measured:
    """All contestants in turn, every other round in the other order."""
    rates: dict[str, list[float]] = {"ours": [], "plain": [], "timm": []}
    count, engine = sum(1 for _ in _files(photos)), ""
    for number in range(ROUNDS):
        for name in rates if number % 2 else reversed(rates):
            begun = time.perf_counter()
            if name == "ours":
                engine = ours(case, photos)
            else:
                words = name, case.arch, str(case.size), str(case.run), str(photos)
                subprocess.run([sys.executable, "-m", "benchmarks.predict_peers", *words], check=True)
            rates[name].append(count / (time.perf_counter() - begun))
    return Measured(rates["ours"], rates["plain"], rates["timm"], engine)


def ours(case: Case, photos: Path) -> str:
    """Predicts by the command line; the engine that has answered."""
    command = [sys.executable, "-m", "trainer", "predict", str(case.run), str(photos), "format=csv"]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return ended.stderr.rpartition(" by ")[2].partition(" ")[0]


def _cases(place: Path) -> Iterator[Case]:
    yield _trained(Case("xresnet18", 128, place / "runs" / "xresnet18"), ["model=xresnet18"])
    if weights := os.environ.get("WEIGHTS"):
        words = ["model=timm", "model.arch=tf_efficientnet_lite0", f"model.weights={weights}"]
        yield _trained(Case("tf_efficientnet_lite0", 224, place / "runs" / "lite0"), words)


def _trained(case: Case, words: Sequence[str]) -> Case:
    """A run of one short epoch on drawn photographs: what its weights are does not tell in time."""
    if not case.run.exists():
        root = case.run.parent / "photographs"
        for label in range(CLASSES):
            _drawn(root / str(label), 4, seed=label)
        data = ["data=folder", f"data.root={root}", f"data.size={case.size}", "data.val=0.25"]
        told = [f"output={case.run.parent}", f"name={case.run.name}", "epochs=1", "batch_size=10", *data, *words]
        subprocess.run([sys.executable, "-m", "trainer", *told], check=True, stdout=subprocess.DEVNULL)
    return replace(case)


def _drawn(folder: Path, count: int, seed: int = 0) -> Path:
    """Shapes on smooth colours with grain: files of 50 to 100 KB, as cameras' JPEGs of that size are."""
    folder.mkdir(parents=True, exist_ok=True)

    def draw(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        image = small.resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            left, top = rng.integers(0, SIDE - 100), rng.integers(0, SIDE * 3 // 4 - 100)
            pen.ellipse((left, top, left + 80, top + 60), fill=tuple(rng.integers(0, 256, 3).tolist()))
        grain = rng.normal(0, 10, (image.height, image.width, 1))
        pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(count)))
    return folder


def _files(photos: Path) -> Iterator[Path]:
    return (path for path in sorted(photos.rglob("*")) if path.suffix.lower() in SUFFIXES)


def _latency(case: Case, photo: Path) -> Sequence[str]:
    """Seconds of a whole process for one picture, beyond those of `import torch`."""
    beyond, whole, torches = [], [], []
    for _ in range(ROUNDS):
        one = cost([sys.executable, "-m", "trainer", "predict", str(case.run), str(photo), "format=csv"])
        other = cost([sys.executable, "-c", "import torch"])
        whole.append(one.wall_seconds)
        torches.append(other.wall_seconds)
        beyond.append(one.wall_seconds - other.wall_seconds)
    spread = f"{statistics.median(beyond):.2f} s more ({min(beyond):.2f}, {max(beyond):.2f})"
    times = f"{statistics.median(whole):.2f} s", f"{statistics.median(torches):.2f} s"
    return "one picture, after `import torch`", *times, spread, "at most 1 s"


def _memory(case: Case, photos: Path, place: Path) -> Sequence[str]:
    """The peak on 20 links to each picture, over that on the pictures themselves."""
    chosen = [str(path) for path in _files(photos)][:FEW]
    links = []
    for copy in range(MORE):
        (place / str(copy)).mkdir(parents=True)
        links += [place / str(copy) / Path(path).name for path in chosen]
        for link, path in zip(links[-len(chosen) :], chosen, strict=True):
            link.symlink_to(Path(path).absolute())
    few, many = _peak_mib(case, chosen), _peak_mib(case, map(str, links))
    return f"peak memory, {MORE} x the files", f"{many:.0f} MiB", f"{few:.0f} MiB", f"{many / few:.2f}", "at most 1.1"


def _peak_mib(case: Case, paths: Iterable[str]) -> float:
    command = [sys.executable, "-m", "trainer", "predict", str(case.run), "-", "format=csv"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write("\n".join(paths).encode())
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"predict ended with {process.returncode}")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
