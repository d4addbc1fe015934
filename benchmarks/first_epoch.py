"""What decoding all photographs before the first step costs: beside the first epoch, and in a second run.

Filling first and training while filling do the same work. Where the model runs on the same cores, nothing could be
saved by doing both at once; where it runs on a GPU, the filling time given here is the most that could be.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.build.training import build
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.data.folder import folder
from trainer.data.keep import Keep
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.feed.store import open_stores

SIDES = (500, 375)
WORKERS = 2


@dataclass(frozen=True)
class FirstRun:
    """Seconds on photographs of 500 x 375 pixels: xresnet18 trains on them at 128."""

    images: int
    filling_seconds: float
    """Decoding all into the store."""
    again_seconds: float
    """Opening and verifying that store, as every later run does."""
    epoch_seconds: float

    @property
    def share(self) -> float:
        """Of the first run's time up to the end of its first epoch, what filling takes."""
        return self.filling_seconds / (self.filling_seconds + self.epoch_seconds)


def first_run(images: int = 300) -> FirstRun:
    """Measured on photographs that are drawn for it."""
    with tempfile.TemporaryDirectory() as place:
        root, keep = Path(place) / "photographs", Keep("disk", f"{place}/kept")
        _draw_photographs(root, images)
        source = folder(root=str(root), size=128)
        parts = [source.train, source.val]
        filling = _seconds(lambda: open_stores(parts, keep, workers=WORKERS))
        again = _seconds(lambda: open_stores(parts, keep, workers=WORKERS))
        words = [
            "data=folder",
            f"data.root={root}",
            "data.size=128",
            "data.cache=disk",
            f"data.cache_dir={keep.folder}",
        ]
        job = build(compose([*words, "model=xresnet18", "batch_size=32"], Origin(conf_folder())), lambda *_: None)
        epoch = _seconds(lambda: sum(train_epoch(job.state, job.batches, job.recipe, Interrupt())))
    return FirstRun(images, filling, again, epoch)


def _draw_photographs(root: Path, count: int) -> None:
    """Smooth colours with grain on them: files of about 60 KB, as cameras' JPEGs of that size are."""
    draw = np.random.default_rng(0)
    for index in range(count):
        path = root / ("one", "two")[index % 2] / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(
            SIDES, Image.Resampling.BICUBIC
        )
        grain = draw.normal(0, 6, (SIDES[1], SIDES[0], 1))
        Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
