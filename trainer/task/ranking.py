"""How well probabilities rank images, label by label, and from which probability on to answer."""

import torch
from torch import Tensor


def average_precisions(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(C,) float64: the average precision of each label, not a number where no image has it.

    probabilities: (N, C) float64; labels: (N, C), 1, 0, or -1 for unknown, which does not count. The sum over the
    images with the label of the precision among those ranked as high or higher, divided by their number; equals are
    ranked together. It is what scikit-learn's average_precision_score gives.
    """
    columns = zip(probabilities.unbind(1), labels.unbind(1), strict=True)
    return torch.stack([_average_precision(*column) for column in columns]) if labels.numel() else torch.empty(0)


def mean_average_precision(probabilities: Tensor, labels: Tensor) -> float:
    """The mean over the labels that any image has; 0 where there is none. Shapes as above."""
    found = average_precisions(probabilities, labels)
    found = found[~found.isnan()]
    return float(found.mean()) if len(found) else 0.0


def best_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(C,) float64: the lowest probability of each label from which on to answer it, so that its F1 is greatest.

    Halfway between the last image that is answered with it and the next, or zero: where an image lay upon it, rounding
    would decide. 0.5 for a label that no image has. Shapes as above.
    """
    columns = zip(probabilities.unbind(1), labels.unbind(1), strict=True)
    return torch.stack([_best_threshold(*column) for column in columns]) if labels.numel() else torch.empty(0)


def _curve(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each probability that occurs, highest first: it, and the images, and those with the label, from it on."""
    known = labels >= 0
    ranked, order = probabilities[known].sort(descending=True)
    hits = (labels[known][order] > 0).cumsum(0)
    last = torch.ones(len(ranked), dtype=torch.bool)
    last[:-1] = ranked[1:] != ranked[:-1]  # of equals
    places = last.nonzero().flatten()
    return ranked[places], places + 1, hits[places]


def _average_precision(probabilities: Tensor, labels: Tensor) -> Tensor:
    _, images, hits = _curve(probabilities, labels)
    if not len(hits) or hits[-1] == 0:
        return torch.tensor(torch.nan, dtype=torch.float64)
    gained = hits.diff(prepend=hits.new_zeros(1))
    return (gained * (hits.double() / images)).sum() / hits[-1]


def _best_threshold(probabilities: Tensor, labels: Tensor) -> Tensor:
    reached, images, hits = _curve(probabilities, labels)
    if not len(hits) or hits[-1] == 0:
        return torch.tensor(0.5, dtype=torch.float64)
    f1 = 2 * hits.double() / (images + hits[-1])
    last = int((f1 == f1.max()).nonzero()[-1])  # the lowest
    return torch.cat([reached, reached.new_zeros(1)])[last : last + 2].double().mean()
