"""The images that the contestants train on: JPEGs cut from real photographs, or drawn; the first of Fashion-MNIST."""

import gzip
import random
import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.peers.task import Task

SHORT_SIDE = 500
_GRAIN = 4.0  # standard deviation of the noise that gives enlarged photographs their fine detail back, of 255
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_PARTS = {"train": ("train",), "val": ("val", "valid", "test")}


def photographs(folder: Path, task: Task, source: Path | None) -> Path:
    """folder/train|val/CLASS/*.jpg, made if it is not there; from source/train|val/CLASS, or drawn without a source.

    Each is another crop, perhaps mirrored, of a photograph of the same part and class, at a quality of 85 to 95.
    """
    if folder.is_dir():
        return folder
    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    for part, count in (("train", task.train), ("val", task.val)):
        originals = _originals(source, part) if source else _drawn(task.classes, part)
        for index, (name, picture) in enumerate(islice(originals, count)):
            draw = random.Random(f"{part} {index}")
            path = making / part / name / f"{index:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            _cut(picture, draw).save(path, quality=draw.randint(85, 95))
    making.rename(folder)
    return folder


def fashion(folder: Path, task: Task, source: Path) -> Path:
    """folder/FashionMNIST/raw/*, where torchvision and we look for it: the first task.train and task.val images."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", task.train), ("t10k", task.val)):
        for name, header in ((f"{part}-images-idx3-ubyte", 16), (f"{part}-labels-idx1-ubyte", 8)):
            content = _read(source / name)
            length = count * (task.size**2 if "images" in name else 1)
            (raw / name).write_bytes(content[:4] + count.to_bytes(4, "big") + content[8 : header + length])
    return folder


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


def _originals(source: Path, part: str) -> Iterator[tuple[str, Image.Image]]:
    """Class and photograph, over and over, the classes in turn."""
    root = next(source / name for name in _PARTS[part] if (source / name).is_dir())
    classes = sorted(path for path in root.iterdir() if path.is_dir())
    photos = [cycle(sorted(path for path in each.iterdir() if path.suffix.lower() in _SUFFIXES)) for each in classes]
    for name, paths in cycle(list(zip(classes, photos, strict=True))):
        with Image.open(next(paths)) as picture:
            yield name.name, picture.convert("RGB")


def _cut(picture: Image.Image, draw: random.Random) -> Image.Image:
    """A crop of at least 0.8 of both sides, perhaps mirrored, SHORT_SIDE pixels on the short side."""
    width, height = (round(side * draw.uniform(0.8, 1)) for side in picture.size)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    scale = SHORT_SIDE / min(width, height)
    shape = max(SHORT_SIDE, round(width * scale)), max(SHORT_SIDE, round(height * scale))
    cut = picture.resize(shape, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    grain = np.random.default_rng(draw.getrandbits(32)).normal(0, _GRAIN, (*cut.size[::-1], 1))
    cut = Image.fromarray((np.asarray(cut) + grain).clip(0, 255).astype(np.uint8))
    return ImageOps.mirror(cut) if draw.random() < 0.5 else cut


def _drawn(classes: int, part: str) -> Iterator[tuple[str, Image.Image]]:
    """Clouds whose amplitudes fall with the frequency, as those of photographs do; the class is their direction."""
    draw = np.random.default_rng(["train", "val"].index(part))
    height, width = 375, 500
    rows, columns = np.meshgrid(np.fft.fftfreq(height) * height, np.fft.rfftfreq(width) * width, indexing="ij")
    for number in cycle(range(classes)):
        angle = np.pi * number / classes
        along = rows * np.cos(angle) + columns * np.sin(angle)
        frequency = np.hypot(np.hypot(rows, columns), 0.7 * along) + 1
        phases = np.exp(2j * np.pi * draw.random((3, *rows.shape)))
        channels = np.fft.irfft2((phases[:1] + 0.4 * phases) / frequency**1.2, (height, width))
        pixels = 120 + 55 * channels / channels.std(axis=(1, 2), keepdims=True)
        yield f"class{number}", Image.fromarray(pixels.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
