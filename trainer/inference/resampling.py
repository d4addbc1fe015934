"""The bootstrap (Efron 1979): how far a score could have come out otherwise on other images of the same kind."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPEATS = 1000
LEVEL = 0.95
Interval = tuple[float, float]
_MOST_AT_ONCE = 2**18
"""Counts that are held at once, however many repeats: 2 MiB, which a core's cache holds, and so draws go fast."""


def resampled_sums(columns: Any, *, repeats: int = REPEATS, seed: int = 0) -> NDArray[np.float64]:
    """(repeats, K): the columns summed over as many images as there are, drawn with replacement, anew for each row.

    columns: (N, K), a sparse array of scipy, one row an image. Where a score is a function of such sums, so are its
    replicates, and all scores are of the same draws.
    """
    transposed = columns.T.tocsr()
    return np.concatenate([(transposed @ times_drawn).T for times_drawn in draws(columns.shape[0], repeats, seed)])


def draws(num_images: int, repeats: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """(num_images, R) for some of the repeats after the other: how often each image is drawn in each."""
    at_once = max(1, _MOST_AT_ONCE // num_images)
    generator = np.random.default_rng(seed)
    for begin in range(0, repeats, at_once):
        width = min(at_once, repeats - begin)
        places = generator.integers(num_images, size=(num_images, width)) * width + np.arange(width)
        yield np.bincount(places.ravel(), minlength=num_images * width).reshape(num_images, width)


def interval(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of 95 %."""
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_interval(replicates: NDArray[np.float64], num_images: int) -> tuple[float, float] | None:
    """The same for a score in [0, 1] that reaches an end of it only where every image does.

    There resampling shows no spread, however few the images: the bound is then that of the exact binomial test
    (Clopper and Pearson 1934). A model that is right on 83 % of all is right on 20 of 20 once in forty times.
    None where it shows no spread elsewhere, as for the balanced accuracy of a model of one answer: it tells nothing.
    """
    low, high = interval(replicates)
    beyond = ((1 - LEVEL) / 2) ** (1 / num_images)
    if replicates.min() == replicates.max() == 1.0:
        return beyond, 1.0
    if replicates.min() == replicates.max() == 0.0:
        return 0.0, 1 - beyond
    return (low, high) if low < high else None
