"""A probe beside epochs of the same frozen body: whole processes, with nothing kept and with features kept.

    WEIGHTS=FILE python -m benchmarks.probe [rounds]

FILE: weights of tf_efficientnet_lite0, as timm names them. PHOTOS=FOLDER takes its class folders instead of drawn ones.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from benchmarks.measure import cost
from trainer.records.lines import read_metrics

IMAGES, SIDE, EPOCHS = 400, 500, 10
SHAPES = ("ellipse", "rectangle", "triangle", "cross")
"""One a class."""
SMALLEST, LARGEST = 25, 80


def main(rounds: int = 3) -> None:
    """Prints the table."""
    first, again, epochs, ratios, scores = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        words = _words(Path(os.environ.get("PHOTOS") or drawn(place / "photographs")), os.environ["WEIGHTS"])
        for number in range(rounds):
            at = place / str(number)
            os.environ["XDG_CACHE_HOME"] = str(at / "cache")
            first.append(_seconds(at / "first", [*words, "finetune=probe"]))
            again.append(_seconds(at / "again", [*words, "finetune=probe"]))
            os.environ["XDG_CACHE_HOME"] = str(at / "empty")
            slow = ["finetune=head_first", "finetune.frozen_epochs=all", "optim.lr=0.01", f"epochs={EPOCHS}"]
            whole = _seconds(at / "epochs", [*words, *slow])
            wanted = _epochs(at / "first")[-1]["val_accuracy"]
            spared, reached = beyond(_epochs(at / "epochs"), wanted)
            epochs.append(whole - spared)
            ratios.append(epochs[-1] / first[-1])
            scores.append(f"{wanted:.1%} and {reached:.1%}")
    table = Table("measured", "median (least, greatest)", "target", title=f"a probe of {IMAGES} photographs")
    table.add_row("whole process, nothing kept", _spread(first, "s"), "at most 25 s")
    table.add_row("whole process, features kept", _spread(again, "s"), "at most 10 s")
    table.add_row(f"frozen_epochs=all, until as good (validation: {', '.join(scores)})", _spread(epochs, "s"), "")
    table.add_row("that, over the whole process with nothing kept", _spread(ratios, "x"), "at least 5 x")
    Console(width=140).print(table)


def beyond(epochs: Sequence[dict[str, Any]], wanted: float) -> tuple[float, float]:
    """The seconds of the epochs after the first that is as accurate as wanted, or the best; and its accuracy."""
    enough = min(wanted, max(epoch["val_accuracy"] for epoch in epochs))
    found = next(number for number, epoch in enumerate(epochs) if epoch["val_accuracy"] >= enough)
    seconds = sum(epoch["train_seconds"] + epoch["val_seconds"] for epoch in epochs[found + 1 :])
    return seconds, epochs[found]["val_accuracy"]


def drawn(root: Path) -> Path:
    """Class folders of drawn photographs, of 50 to 100 KB: a small shape of the class, on smooth colours with grain."""
    for shape in SHAPES:
        (root / shape).mkdir(parents=True)

    def draw(number: int) -> None:
        rng, shape = np.random.default_rng(number), SHAPES[number % len(SHAPES)]
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        image = small.resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(image)
        left, top = map(int, rng.integers(0, (SIDE - LARGEST, image.height - LARGEST)))
        _shape(pen, shape, left, top, int(rng.integers(SMALLEST, LARGEST)), tuple(rng.integers(0, 256, 3).tolist()))
        pixels = np.asarray(image) + rng.normal(0, 10, (image.height, image.width, 1))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / shape / f"{number:05}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(IMAGES)))
    return root


def _shape(pen: ImageDraw.ImageDraw, shape: str, left: int, top: int, side: int, colour: tuple[int, ...]) -> None:
    right, bottom, middle = left + side, top + side, left + side // 2
    if shape == "ellipse":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif shape == "rectangle":
        pen.rectangle((left, top, right, bottom), fill=colour)
    elif shape == "triangle":
        pen.polygon([(left, bottom), (right, bottom), (middle, top)], fill=colour)
    else:
        pen.line([(left, top), (right, bottom)], fill=colour, width=side // 5)
        pen.line([(left, bottom), (right, top)], fill=colour, width=side // 5)


def _words(root: Path, weights: str) -> list[str]:
    model = ["model=timm", "model.arch=tf_efficientnet_lite0", f"model.weights={weights}"]
    return ["data=folder", f"data.root={root}", "data.size=224", "data.val=0.2", *model]


def _seconds(run: Path, words: Sequence[str]) -> float:
    command = [sys.executable, "-m", "trainer", f"output={run.parent}", f"name={run.name}", *words]
    return cost(command).wall_seconds


def _epochs(run: Path) -> list[dict[str, Any]]:
    return [line for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "epoch"]


def _spread(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):.1f} {unit} ({min(values):.1f}, {max(values):.1f})"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
