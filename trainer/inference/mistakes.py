"""The images that are worth a look: sure and wrong, of the highest loss, or labelled wrongly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
"""By which the mean of equal probabilities may lie above them."""


@dataclass(frozen=True)
class Ranked:
    """Some images, first things first."""

    indices: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Doubt:
    """An image whose label is probably wrong. Label and likely label are places among the classes."""

    image: int
    label: int
    likely: int
    margin: float
    """By how much the likely label is the more probable of the two."""


def surest_mistakes(probabilities: NDArray[np.float64], labels: NDArray[np.int64], most: int) -> Ranked:
    """The images whose answer is wrong, with the probability of that answer, highest first.

    Shapes (N, C) and (N,), with -1 for an image without a label; so below.
    """
    wrong = (labels >= 0) & (probabilities.argmax(axis=1) != labels)
    return _highest(probabilities.max(axis=1), wrong, most)


def highest_losses(losses: NDArray[np.float64], labels: NDArray[np.int64], most: int) -> Ranked:
    """The images of the highest losses, (N,), right or wrong, among those that have a label."""
    return _highest(losses, labels >= 0, most)


def doubtful_labels(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Doubt]:
    """The images that probably belong to another class than their label says, the clearest first.

    Confident learning (Northcutt, Jiang and Chuang 2021, section 3.1): a model is sure of a class for an image where
    its probability is no less than on average over the images with that label. An image counts as one of the likeliest
    class that the model is sure of; its label is in doubt if that is another one, and likelier than the label.
    The probabilities must come from a model that was not trained on these images: one that was has learnt the mistakes.
    """
    rows = np.flatnonzero(labels >= 0)
    own_labels = labels[rows]
    sums = np.bincount(own_labels, probabilities[rows, own_labels], minlength=probabilities.shape[1])
    counts = np.bincount(own_labels, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)  # without images, nothing says what is sure
    sure = probabilities[rows] >= thresholds - _ROUNDING
    likely = np.where(sure, probabilities[rows], -1.0).argmax(axis=1)
    margins = probabilities[rows, likely] - probabilities[rows, own_labels]
    ranked = _highest(margins, sure.any(axis=1) & (margins > 0), len(rows))
    columns = (rows[ranked.indices], own_labels[ranked.indices], likely[ranked.indices], ranked.values)
    return [Doubt(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]


def _highest(values: NDArray[np.float64], wanted: NDArray[np.bool_], most: int) -> Ranked:
    """Of the wanted ones; of equals the first comes first."""
    indices = np.flatnonzero(wanted)
    indices = indices[np.argsort(-values[indices], kind="stable")][:most]
    return Ranked(indices, values[indices])
