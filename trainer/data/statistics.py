"""Mean and standard deviation of the training images, for their normalisation."""

import torch
from torch import Tensor

from trainer import rng
from trainer.data.store import Store

_CHUNK = 256
_STREAMED_SAMPLE = 4096
_LEVELS = 256


def mean_and_std(store: Store) -> tuple[Tensor, Tensor]:
    """Two (C,) float32 tensors in units of [0, 1], the population's over all pixels.

    Resident images are all counted; streamed ones are counted for a fixed sample of at most 4096, since decoding takes
    time. Pixels are counted by level, so the sums are exact. A constant channel gets a std of 1/255, not 0.
    """
    indices = torch.arange(len(store))
    if not store.resident:
        indices = rng.permutation(len(store), "statistics")[:_STREAMED_SAMPLE].sort().values
    counts = torch.zeros(store.shape[0], _LEVELS, dtype=torch.int64)
    for images in store.gather(torch.split(indices, _CHUNK)):
        for channel in range(images.shape[1]):
            counts[channel] += torch.bincount(images[:, channel].flatten(), minlength=_LEVELS)
    levels = torch.arange(_LEVELS, dtype=torch.float64) / (_LEVELS - 1)
    weights = counts / counts.sum(1, keepdim=True, dtype=torch.float64)  # (C, 256)
    mean = weights @ levels
    variance = (weights * (levels - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp(min=1 / (_LEVELS - 1)).float()
