"""Mean average precision on other images of the same kind, by the draws of the bootstrap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.inference.resampling import REPEATS, draws


def resampled_map(
    probabilities: NDArray[np.float64], labels: NDArray[Any], *, repeats: int = REPEATS, seed: int = 0
) -> NDArray[np.float64]:
    """(repeats,): the mean average precision of as many images as there are, drawn with replacement, anew for each.

    probabilities: (N, C). labels: (N, C), 1, 0, or -1 for what is not known. No number where no image that was drawn
    has a label. The draws are those of `resampled_sums`. An image that is drawn twice vouches for itself, and so draws
    come out higher than other images would: by as much as their mean lies above the score, which is taken off (Efron
    and Tibshirani 1993, chapter 10).
    """
    ranked = [_Ranked(*columns) for columns in zip(probabilities.T, labels.T, strict=True)]
    found = np.concatenate([_mean(ranked, times_drawn) for times_drawn in draws(len(labels), repeats, seed)])
    (once,) = _mean(ranked, np.ones((len(labels), 1), dtype=np.int64))
    known = found[~np.isnan(found)]
    return np.clip(found - (known.mean() - once), 0, 1) if len(known) else found


def _mean(ranked: Sequence["_Ranked"], times_drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R,) of (N, R): over the labels that any image has which was drawn; no number where there is none."""
    each = np.stack([label.average_precision(times_drawn) for label in ranked])  # (C, R)
    has_any = ~np.isnan(each)
    sums, count = np.where(has_any, each, 0.0).sum(axis=0), has_any.sum(axis=0)
    return np.where(count > 0, sums / np.maximum(1, count), np.nan)


class _Ranked:
    """The images of one label, sorted once for all draws: how often each was drawn is all that changes."""

    def __init__(self, probabilities: NDArray[np.float64], labels: NDArray[Any]) -> None:
        from scipy import sparse  # type: ignore[import-untyped]  # imported here: it takes a second

        known = np.flatnonzero(labels >= 0)
        order = known[np.argsort(-probabilities[known], kind="stable")]
        ranked, has_it = probabilities[order], np.flatnonzero(labels[order] > 0)
        self._with_it = order[has_it]
        # Of each image with the label: the last of those as probable as it, among all, and among those with the label.
        last = np.searchsorted(-ranked, -ranked[has_it], side="right") - 1
        self._last_with_it = np.searchsorted(has_it, last, side="right") - 1
        # Each image is counted at the first of those with the label that it does not rank below.
        first = np.searchsorted(last, np.arange(len(order)))
        counted = first < len(has_it)
        places = (first[counted], order[counted])
        self._counted = sparse.csr_array((np.ones(counted.sum(), dtype=np.int64), places), (len(has_it), len(labels)))

    def average_precision(self, times_drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        """(R,) of (N, R): no number where no image with the label was drawn."""
        hits = times_drawn[self._with_it]  # (images with it, R)
        images_from_there_up = (self._counted @ times_drawn).cumsum(axis=0)
        hits_from_there_up = hits.cumsum(axis=0)[self._last_with_it]
        gained = (hits * hits_from_there_up / np.maximum(1, images_from_there_up)).sum(axis=0)
        support = hits.sum(axis=0)
        return np.where(support > 0, gained / np.maximum(1, support), np.nan)
