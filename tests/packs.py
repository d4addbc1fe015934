"""What the tests of packed sets share: the same pictures in class folders, in tar shards, and in Parquet files."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import webdataset
from PIL import Image

from trainer.data.source import Samples

RUN = ("model=small_cnn", "model.widths=[4,8]", "batch_size=8", "epochs=2", "optim=adamw", "preset=none", "log_every=2")
HERE = ("device=cpu", "precision=fp32", "report=false")
CLASSES = ("cat", "dog", "elk")


class Drawn(NamedTuple):
    """A picture, the number of its class, and the bytes of its file."""

    number: int
    label: int
    content: bytes


def drawn(count: int, seed: int = 0, side: int = 12) -> Iterator[Drawn]:
    """Pictures of three classes, each lighter than the one before."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 100, (side, side, 3)) + 70 * (number % 3)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        yield Drawn(number, number % 3, file.getvalue())


def as_folders(root: Path, pictures: Sequence[Drawn]) -> Path:
    """Class folders."""
    for each in pictures:
        (root / CLASSES[each.label]).mkdir(parents=True, exist_ok=True)
        (root / CLASSES[each.label] / f"{each.number:04d}.png").write_bytes(each.content)
    return root


def as_shards(root: Path, samples: Sequence[Mapping[str, Any]], name: str = "train", each: int = 10) -> Path:
    """Shards of so many samples, as the package writes them."""
    root.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(samples), each)):
        with webdataset.TarWriter(str(root / f"{name}-{number:03d}.tar")) as writer:
            for key, sample in enumerate(samples[first : first + each], first):
                writer.write({"__key__": f"{key:04d}", **sample})
    return root


def numbered(pictures: Sequence[Drawn]) -> list[dict[str, Any]]:
    """Samples whose cls is the number of the class."""
    return [{"png": each.content, "cls": each.label} for each in pictures]


def as_rows(pictures: Sequence[Drawn]) -> datasets.Dataset:
    """A table with pictures and named classes."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    images = [{"bytes": each.content, "path": f"{each.number}.png"} for each in pictures]
    return datasets.Dataset.from_dict({"image": images, "label": [each.label for each in pictures]}, features)


def as_parquet(root: Path, pictures: Sequence[Drawn], name: str = "train") -> Path:
    """A folder with a Parquet file."""
    root.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    as_rows(pictures).to_parquet(root / f"{name}-00000-of-00001.parquet")
    return root


def by_content(samples: Samples, classes: Sequence[str]) -> list[tuple[str, bytes]]:
    """(class, pixels) of each picture, in an order of their own."""
    labels = samples.labels.tolist()
    return sorted((classes[labels[number]], samples.image(number).numpy().tobytes()) for number in range(len(samples)))
