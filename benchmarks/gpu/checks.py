"""Whether a training on the device is right: each check is a training or more, and raises with what went wrong."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from torture.compare import differences
from trainer import registry
from trainer.cli.main import main
from trainer.engine import loop

TINY = ("model.widths=[4,8]", "batch_size=16", "epochs=2", "report=false", "preset=none")
GLYPHS = ("data.images=96", "data.classes=3", "data.size=12")
"""With these, 6 steps an epoch."""
_SAID = 400


@dataclass(frozen=True)
class Place:
    """Where the checks run, how thoroughly, and the folder for what they leave."""

    device: str
    small: bool
    folder: Path

    def train(self, name: str, *words: str) -> Path:
        """The folder of a run by these words. Raises RuntimeError if it fails."""
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            code = main(self.words(name, *words))
        if code:
            raise RuntimeError(f"{name}: ended with {code}: {said.getvalue()[-_SAID:]}")
        return self.folder / name

    def words(self, name: str, *words: str) -> list[str]:
        """On the command line."""
        data = () if any(word.startswith("data=") for word in words) else GLYPHS
        return [*TINY, *data, f"device={self.device}", f"output={self.folder}", f"name={name}", *words]


def checks(place: Place) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each by its name."""
    on_gpu = place.device == "cuda"
    optimizers = ["adamw"] if place.small else sorted(registry.entries("optim"))
    for precision in ("fp32", "tf32", "bf16", "fp16") if on_gpu else ("fp32", "bf16"):
        for optim in optimizers:
            yield f"{optim} in {precision}", lambda words=(precision, optim): _learns(place, *words)
    yield "killed and resumed, bit for bit", lambda: _resumes(place)
    yield "prepared ahead or not, bit for bit", lambda: _ahead(place)
    yield "kept in memory, on disk and streamed, bit for bit", lambda: _kept(place)
    yield "twice, bit for bit, with all that there is", lambda: _again(place)
    if on_gpu:
        yield "out of memory is told", lambda: _out_of_memory(place)
    if on_gpu or not place.small:  # on a CPU the compiler alone takes half a minute
        yield "compiled", lambda: _compiled(place)


def _learns(place: Place, precision: str, optim: str) -> None:
    place.train(f"{optim}-{precision}", f"precision={precision}", f"optim={optim}", "ema=0.9", "clip_norm=5")


def _same(one: Path, other: Path) -> None:
    found = differences(one, other)
    if found:
        raise AssertionError(f"{len(found)} differences: {found[0]}")


def _resumes(place: Place) -> None:
    words = ("ema=0.9", "save_every=2", "aug=strong")
    unbroken, killed = place.train("unbroken", *words), place.folder / "killed"
    command = [sys.executable, "-m", "trainer", *place.words("killed", *words)]
    done = subprocess.run(
        command, env={**os.environ, "TRAINER_FAULT": "kill@step=9"}, capture_output=True, text=True, check=False
    )
    if done.returncode >= 0:
        raise RuntimeError(f"it was not killed: {done.stderr[-_SAID:]}")
    place.train("killed", *words, "resume=auto")
    _same(unbroken, killed)


def _ahead(place: Place) -> None:
    steps = 12 if place.small else 200
    words = (f"epochs={steps // 6}", "aug=strong", "accumulate=1")
    ahead = place.train("ahead", *words)
    with patch.object(loop, "ahead", _one_by_one):
        _same(ahead, place.train("one-by-one", *words))


def _one_by_one(items: Iterable[object], device: torch.device, *, beside: bool = True) -> Iterator[object]:
    """Each is prepared when it is wanted, and all else has been done before."""
    for item in items:
        _finish(device)
        yield item
        _finish(device)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _kept(place: Place) -> None:
    photos, rng = place.folder / "photos", np.random.default_rng(0)
    for number in range(24):
        folder = photos / f"class {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    words = ("data=folder", f"data.root={photos}", "data.size=16", f"data.cache_dir={place.folder / 'cache'}")
    caches = ("ram", "disk", "none", *(["device"] if place.device == "cuda" else []))
    runs = [place.train(cache, *words, f"data.cache={cache}") for cache in caches]
    for other in runs[1:]:
        _same(runs[0], other)


def _again(place: Place) -> None:
    words = ("aug=strong", "aug.mixup=0.2", "aug.cutmix=1", "ema=0.9", "clip_norm=1", "accumulate=2", "precision=auto")
    _same(place.train("once", *words), place.train("again", *words))


def _out_of_memory(place: Place) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        place.train("large", "data.images=4096", "data.size=128", "batch_size=2048", "model.widths=[256,512]")
    except RuntimeError as told:
        if "Out of memory on cuda" not in str(told):
            raise
    else:
        raise AssertionError("a batch of 20 GiB found room in a fiftieth of the memory")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def _compiled(place: Place) -> None:
    place.train("compiled", "compile=true", "epochs=1")
