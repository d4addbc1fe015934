"""How the memory of a run grows with a set that lies in tar shards or in Parquet files."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

FEW, MANY = 2000, 40000
"""Training pictures, 48 px; beside them a tenth of so many to validate on."""
_EACH = 1000
"""Pictures a file."""
_RUN = ("model=small_cnn", "model.widths=[4]", "batch_size=256", "workers=2", "epochs=1", "preset=none", "report=false")
WAYS = (
    ("webdataset", "data.cache=none"),
    ("hf", "data.cache=none"),
    ("webdataset", "data.streaming=true"),
    ("webdataset", "data.cache=disk"),
    ("hf", "data.cache=disk"),
)


def growth(form: str, word: str) -> tuple[float, float]:
    """MiB at the peak of a first run on 2,000 pictures, and on 40,000. form: webdataset or hf; word: the way."""
    few, many = (_peak_mib(form, word, count) for count in (FEW, MANY))
    return few, many


def _peak_mib(form: str, word: str, count: int) -> float:
    """MiB of a run of its own; its loader processes, which share its pages, are not counted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, size in (("train", count), ("val", count // 10)):
            for number, first in enumerate(range(0, size, _EACH)):
                _write(folder / "set", f"{part}-{number:05d}", form, range(first, min(first + _EACH, size)))
        told = (
            f"data={form}",
            f"data.root={folder / 'set'}",
            word,
            f"data.cache_dir={folder / 'kept'}",
        )
        command = [sys.executable, "-m", "trainer", *told, *_RUN, f"output={folder}"]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
    if status:
        raise RuntimeError(f"the run ended with {status}: {' '.join(told)}")
    return usage.ru_maxrss / 1024


def _write(folder: Path, name: str, form: str, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if form == "webdataset":
        with tarfile.open(folder / f"{name}.tar", "w") as shard:
            for number, content in zip(numbers, _drawn(numbers), strict=True):
                for ending, held in (("jpg", content), ("cls", str(number % 3).encode())):
                    entry = tarfile.TarInfo(f"{number:07d}.{ending}")
                    entry.size = len(held)
                    shard.addfile(entry, io.BytesIO(held))
        return
    import datasets

    datasets.disable_progress_bars()
    images = [{"bytes": content, "path": None} for content in _drawn(numbers)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    columns = {"image": images, "label": [number % 3 for number in numbers]}
    datasets.Dataset.from_dict(columns, features).to_parquet(folder / f"{name.replace('val', 'validation')}.parquet")


def _drawn(numbers: range) -> Iterator[bytes]:
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 100, (48, 48, 3)) + 50 * (number % 3)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG")
        yield file.getvalue()


if __name__ == "__main__":
    for form, word in WAYS:
        few, many = growth(form, word)
        print(f"data={form} {word}: {few:.0f} MiB, {many:.0f} MiB, {many / few:.2f} x", flush=True)
