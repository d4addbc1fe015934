"""What CIFAR-10 and CIFAR-100 share: torchvision's reader, and its arrays as a Source."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.source import ArraySamples, Source
from trainer.errors import DataError
from trainer.size import Size


def cifar_source(reader: Any, root: str, wishes: Wishes, *, download: bool, grey: bool) -> Source:
    """The set that the reader, a class of torchvision.datasets, finds in root. Raises DataError if it does not."""
    base = Path(root).expanduser()
    folder = base / reader.base_folder
    if not download and not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Add data.download=true to fetch it.")
    try:
        sets = [reader(base, train=train, download=download and train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        what = "The download failed" if download else "A file is missing or corrupt; delete it, add data.download=true"
        raise DataError(f"{folder}: {what} ({' '.join(str(error).split())})") from error
    train, test = (_samples(each.data.transpose(0, 3, 1, 2), each.targets, grey) for each in sets)
    return assemble(sets[0].classes, {"train": train, "test": test}, wishes, size=Size(*train.shape[1:]))


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
