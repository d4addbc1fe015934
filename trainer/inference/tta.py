"""Several looks at one picture: the mean of their probabilities is the answer (test-time augmentation)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainer.schema import Tta
from trainer.task.task import Task

_SHARE = 0.875
"""The side of a crop, of the larger picture that it is cut from: 224 of 256, as networks are usually tested."""


def prepared_side(side: int, tta: Tta) -> int:
    """The side that pictures are best prepared at, where a single look wants `side` pixels."""
    return round(side / _SHARE) if tta == "crops" else side


def looks_of(tta: Tta) -> int:
    """How often a picture is looked at."""
    return {"none": 1, "flip": 2, "crops": 10}[tta]


def probabilities(
    logits: Callable[[Tensor], Tensor], task: Task, pixels: Tensor, side: int, tta: Tta, temperature: float = 1.0
) -> NDArray[np.float64]:
    """(B, C) of prepared pictures, uint8 (B, channels, S, S): the mean over all looks.

    side: of a single look. none: the picture. flip: the picture and its mirror image. crops: its centre and corners,
    each mirrored too; pictures of that very side are first made larger, others were prepared at prepared_side.
    """
    looks = [task.probabilities(logits(view).double() / temperature) for view in _views(pixels, side, tta)]
    return np.asarray((sum(looks[1:], looks[0]) / len(looks)).numpy())


def _views(pixels: Tensor, side: int, tta: Tta) -> Iterator[Tensor]:
    """The looks, each uint8 (B, channels, side, side) but for `none`, where nothing is cut."""
    if tta == "none":
        yield pixels
        return
    for view in [pixels] if tta == "flip" else _crops(pixels, side):
        yield view
        yield view.flip(-1)


def _crops(pixels: Tensor, side: int) -> Iterator[Tensor]:
    large = prepared_side(side, "crops")
    if pixels.shape[-1] != large:
        pixels = F.interpolate(pixels, (large, large), mode="bilinear", antialias=True, align_corners=False)
    spare = large - side
    for top, left in ((spare // 2, spare // 2), (0, 0), (0, spare), (spare, 0), (spare, spare)):
        yield pixels[:, :, top : top + side, left : left + side]
