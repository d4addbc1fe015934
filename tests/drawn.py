"""Sets that are drawn for the checks: scenes of which each is another one, and arrows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trainer.check.seen import Seen
from trainer.data.folder import folder
from trainer.data.source import ArraySamples, Source
from trainer.size import Size, square


def scene(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Blurred patches of colour, like no other."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def saved(root: Path, pictures: Mapping[str, Image.Image]) -> Source:
    """A folder of these pictures, by their names, as data=folder reads it."""
    for name, picture in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return folder(root=str(root), size=16, cache="none")


def scenes(*, each: int = 6) -> dict[str, Image.Image]:
    """Two classes, cat and dog, in a training and a validation part; no two pictures are alike."""
    names = [
        f"{part}/{name}/{number}.png" for part in ("train", "val") for name in ("cat", "dog") for number in range(each)
    ]
    return {name: scene(seed) for seed, name in enumerate(names)}


def of_arrays(pixels: NDArray[np.uint8], labels: Sequence[int], classes: Sequence[str]) -> Source:
    """Pixels (N, H, W, C) that train and validate: every fourth one validates."""
    images, truth = torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.tensor(labels)
    validates = torch.arange(len(truth)) % 4 == 3
    train, val = (
        ArraySamples(images[rows], truth[rows], [str(row) for row in rows.nonzero().flatten().tolist()])
        for rows in (~validates, validates)
    )
    return Source(tuple(classes), train, val, None, Size(*pixels.shape[1:3]))


def arrows(count: int, *, ways: Sequence[str] = ("left", "right")) -> Seen:
    """White arrows on black, in as many places."""
    rng, pixels = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.new("RGB", (32, 32))
        x, y = (int(each) for each in rng.integers(12, 20, 2))
        pen = ImageDraw.Draw(picture)
        pen.line((x - 8, y, x + 8, y), fill="white", width=2)
        pen.polygon([(x + 4, y - 5), (x + 4, y + 5), (x + 10, y)], fill="white")
        way = ways[number % len(ways)]
        turned = {
            "left": Image.Transpose.FLIP_LEFT_RIGHT,
            "up": Image.Transpose.ROTATE_90,
            "down": Image.Transpose.ROTATE_270,
        }
        pixels.append(np.asarray(picture.transpose(turned[way]) if way in turned else picture))
    return seen_of(np.stack(pixels), [number % len(ways) for number in range(count)])


def seen_of(small: NDArray[np.uint8], labels: Sequence[int]) -> Seen:
    """Small pictures of a training part."""
    count = len(small)
    names, zeros = [f"{number}.png" for number in range(count)], np.zeros(count, np.int64)
    sizes = [square(32)] * count
    return Seen(
        names, zeros, np.arange(count), [(label,) for label in labels], small, sizes, ["RGB"] * count, (), count
    )
