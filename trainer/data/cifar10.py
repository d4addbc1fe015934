"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of animals and vehicles, 32 x 32."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.source import ArraySamples, Source
from trainer.data.splits import validate_on
from trainer.errors import DataError
from trainer.registry import DATA
from trainer.schema import Share


@DATA.register
def cifar10(
    *, root: str = "data", download: bool = False, grey: bool = False, val: Share | Literal["test"] = 0.1
) -> Source:
    """CIFAR-10: 50,000 colour 32 x 32 pictures of animals and vehicles to train on, 10,000 to test on, 10 classes.

    Read by torchvision from root/cifar-10-batches-py; every file's checksum is checked.
    """
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]

    base = Path(root).expanduser()
    folder = base / CIFAR10.base_folder
    if not download and not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Add data.download=true to fetch it.")
    try:
        sets = [CIFAR10(base, train=train, download=download and train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        what = "The download failed" if download else "A file is missing or corrupt; delete it, add data.download=true"
        raise DataError(f"{folder}: {what} ({' '.join(str(error).split())})") from error
    parts = [_samples(each.data.transpose(0, 3, 1, 2), each.targets, grey) for each in sets]
    train, val_part, test, note = validate_on(val, parts[0], parts[1])
    return Source(tuple(sets[0].classes), train, val_part, test, size=train.shape[-1], notes=(note,))


def _samples(images: NDArray[np.uint8], targets: list[int], grey: bool) -> ArraySamples:
    """images: (N, 3, 32, 32)."""
    pixels = torch.from_numpy(images)
    if grey:
        pixels = _luma(pixels)
    return ArraySamples(pixels, torch.tensor(targets), [f"{index:05d}" for index in range(len(targets))])


def _luma(pixels: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W), with the weights and rounding of Pillow's mode L (ITU-R BT.601)."""
    red, green, blue = pixels.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).to(torch.uint8)[:, None]
