"""Several looks at one picture: the mean of their probabilities is the answer (test-time augmentation)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainer.schema import Tta
from trainer.size import Size
from trainer.task.task import Task

_SHARE = 0.875
"""Each side of a crop, of the larger picture that it is cut from: 224 of 256, as networks are usually tested."""


def prepared_size(size: Size, tta: Tta) -> Size:
    """What pictures are best prepared at, where a single look wants `size`."""
    return Size(*(round(side / _SHARE) for side in size)) if tta == "crops" else size


def looks_of(tta: Tta) -> int:
    """How often a picture is looked at."""
    return {"none": 1, "flip": 2, "crops": 10}[tta]


def probabilities(
    logits: Callable[[Tensor], Tensor], task: Task, pixels: Tensor, size: Size, tta: Tta, temperature: float = 1.0
) -> NDArray[np.float64]:
    """(B, C) of prepared pictures, uint8 (B, channels, H, W): the mean over all looks.

    size: of a single look. none: the picture. flip: the picture and its mirror image. crops: its centre and corners,
    each mirrored too; pictures of that very size are first made larger, others were prepared at prepared_size.
    """
    looks = [task.probabilities(logits(view).double() / temperature) for view in _views(pixels, size, tta)]
    return np.asarray((sum(looks[1:], looks[0]) / len(looks)).numpy())


def _views(pixels: Tensor, size: Size, tta: Tta) -> Iterator[Tensor]:
    """The looks, each uint8 (B, channels, *size) but for `none`, where nothing is cut."""
    if tta == "none":
        yield pixels
        return
    for view in [pixels] if tta == "flip" else _crops(pixels, size):
        yield view
        yield view.flip(-1)


def _crops(pixels: Tensor, size: Size) -> Iterator[Tensor]:
    large = prepared_size(size, "crops")
    if tuple(pixels.shape[-2:]) != large:
        pixels = F.interpolate(pixels, large, mode="bilinear", antialias=True, align_corners=False)
    below, beside = large.height - size.height, large.width - size.width
    for top, left in ((below // 2, beside // 2), (0, 0), (0, beside), (below, 0), (below, beside)):
        yield pixels[:, :, top : top + size.height, left : left + size.width]
