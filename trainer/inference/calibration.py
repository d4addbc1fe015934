"""Whether probabilities mean what they say, and the temperature that mends it (Guo et al. 2017)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.05, 20.0
"""Where all answers are right, no temperature is cold enough; where they are no better than chance, none hot enough."""


@dataclass(frozen=True)
class Bin:
    """Images whose answers have about the same probability. The means are None where there are no images."""

    low: float
    high: float
    images: int
    confidence: float | None
    """The mean probability of the answers."""
    accuracy: float | None
    """The share of them that is right; it should be the same."""


@dataclass(frozen=True)
class Reliability:
    """The bars of a reliability diagram, from probability 0 to 1."""

    bins: tuple[Bin, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: how far accuracy and confidence differ in a bin, in the mean over images."""
        images = sum(each.images for each in self.bins)
        gaps = [each.images * abs((each.accuracy or 0.0) - (each.confidence or 0.0)) for each in self.bins]
        return sum(gaps) / images if images else 0.0

    def plain(self) -> list[dict[str, Any]]:
        """The bins as plain data."""
        return [asdict(each) for each in self.bins]


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], num_bins: int = 15) -> Reliability:
    """Answers in bins of equal width, by their probability; a bin holds its upper edge.

    confidence: (N,) in [0, 1]. right: (N,), whether the answer is the label.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    places = np.digitize(confidence, edges[1:-1], right=True)
    images, confidences, rights = (
        np.bincount(places, weights, num_bins) for weights in (np.ones_like(confidence), confidence, right)
    )
    columns = zip(edges[:-1].tolist(), edges[1:].tolist(), images, confidences, rights, strict=True)
    return Reliability(
        tuple(
            Bin(low, high, int(count), float(sure / count) if count else None, float(hits / count) if count else None)
            for low, high, count, sure, hits in columns
        )
    )


def log_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithms, of the same shape; that of 0 is that of the smallest number there is, -708."""
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] at which the softmax of logits / temperature is likeliest to give the labels.

    logits: (N, C), or log-probabilities. labels: (N,), -1 for none. 1 where none of them tells it from another.
    The likelihood is concave in 1 / temperature: it has one maximum, and is highest at an end if it has none between.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # imported here: it takes half a second

    labelled = labels >= 0
    if not labelled.any():
        return 1.0
    rows, classes = logits[labelled], labels[labelled, None]
    rows = rows - rows.max(axis=1, keepdims=True)
    rows = np.maximum(rows, np.log(np.finfo(np.float64).tiny))  # the logarithm of 0 may come as -infinity
    wanted = np.take_along_axis(rows, classes, axis=1)[:, 0].mean()

    def slope(coldness: float) -> float:
        """Of the mean negative log-likelihood: expected less wanted logit."""
        likelihoods = np.exp(coldness * rows)
        return float(((likelihoods * rows).sum(axis=1) / likelihoods.sum(axis=1)).mean() - wanted)

    if slope(1.0) == 0:
        return 1.0
    if slope(1 / COLDEST) <= 0:
        return COLDEST
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    return float(1 / brentq(slope, 1 / HOTTEST, 1 / COLDEST))


def apply_temperature(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(N, C): what the softmax would have given had the logits been divided by the temperature. Answers stay."""
    scaled = log_of(probabilities) / temperature
    likelihoods = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(likelihoods / likelihoods.sum(axis=1, keepdims=True))
