"""What the answers of a classifier are worth, where each image has several labels, or none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.errors import DataError, TrainerError
from trainer.inference.calibration import Reliability, log_of, reliability
from trainer.inference.multi.ranking import resampled_map
from trainer.inference.resampling import Interval, interval, resampled_sums, share_interval
from trainer.task.ranking import average_precisions, mean_average_precision

_BRIEF = ("map", "micro_f1", "macro_f1", "exact_match", "loss", "nll", "brier", "ece", "intervals")
_SURPRISES = ("nll", "brier")


@dataclass(frozen=True)
class LabelScores:
    """Of one label, in [0, 1]; None for a share of nothing: nothing was answered so, or no image has the label."""

    average_precision: float | None
    """How well its probabilities rank the images: the mean over those with it of the precision from there up."""
    precision: float | None
    """The share of the images answered so that have it."""
    recall: float | None
    """The share of the images with it that are answered so."""
    f1: float | None
    """The harmonic mean of the two, 0 where they have no image in common."""
    support: int
    """Images with it."""
    known: int
    """Images of which it is known whether they have it."""
    threshold: float
    """The probability from which on it is answered."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of some probabilities on images whose labels are known, or some of them."""

    classes: tuple[str, ...]
    images: int
    """Those of which any label is known: the others are not scored."""
    map: float | None
    """Mean average precision: over the labels that any image has."""
    micro_f1: float | None
    """The F1 of all labels counted together."""
    macro_f1: float | None
    """The mean F1 of the labels that have images or answers."""
    exact_match: float
    """The share of the images all of whose known labels are answered rightly, those that they lack included."""
    loss: float | None
    """Plain cross-entropy, as in training; None where no one loss belongs to the answers."""
    nll: float
    """Negative log-likelihood of a label: the mean over all that are known of -ln of what was given to the truth."""
    brier: float
    """The mean over all known labels of the squared error of their probabilities: 0 to 1."""
    reliability: Reliability
    """Of all known labels: how often those of about the same probability are there."""
    per_class: tuple[LabelScores, ...]
    intervals: dict[str, Interval]
    """Where 95 % of the score lies, by its name; none of a score that resampling does not move."""

    def plain(self) -> dict[str, Any]:
        """What evaluation.json holds."""
        return {
            "task": "multi",
            "map": self.map,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "exact_match": self.exact_match,
            "loss": self.loss,
            "nll": self.nll,
            "brier": self.brier,
            "ece": self.reliability.error,
            "images": self.images,
            "per_class": {name: asdict(scores) for name, scores in zip(self.classes, self.per_class, strict=True)},
            "classes": list(self.classes),
            "thresholds": [each.threshold for each in self.per_class],
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
        }

    def brief(self) -> dict[str, Any]:
        """What it holds of one run among several."""
        plain = self.plain()
        return {key: plain[key] for key in _BRIEF}


def score(
    probabilities: NDArray[np.float64],
    labels: NDArray[Any],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    *,
    loss: float | None = None,
    seed: int = 0,
) -> Evaluation:
    """The scores of (N, C) probabilities on images with (N, C) labels: 1, 0, or -1 where that is not known.

    thresholds: (C,), from which on a label is answered. loss: what training made of the same images. seed: of the
    resampling for the intervals. Raises DataError if nothing is known of any image, TrainerError if a probability is
    no number.
    """
    assert probabilities.shape == labels.shape == (len(labels), len(classes)) and len(thresholds) == len(classes)
    told = (labels >= 0).any(axis=1)
    if not told.any():
        raise DataError(f"None of the {len(labels):,} images has a label that is known: there is nothing to score.")
    probabilities, labels = probabilities[told], labels[told]
    if wrong := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise TrainerError(
            f"The model gives no numbers (NaN or infinity) for {wrong:,} of {len(labels):,} images: try precision=fp32."
        )
    known = labels >= 0
    return Evaluation(
        classes=tuple(classes),
        images=len(labels),
        **scores(probabilities, labels, thresholds),
        loss=loss,
        reliability=reliability(probabilities[known], labels[known] > 0),
        per_class=label_scores(probabilities, labels, thresholds),
        intervals=_intervals(probabilities, labels, thresholds, seed),
    )


def scores(probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64]) -> dict[str, Any]:
    """Those of all labels together, by their names. Shapes as above; something is known of each image."""
    counts, single = _columns(probabilities, labels, thresholds)
    sums = np.concatenate([*(each.sum(axis=0) for each in counts), single.sum(axis=0)])
    ranks = (torch.from_numpy(probabilities), torch.from_numpy(labels))
    return {
        "map": mean_average_precision(*ranks) if (labels > 0).any() else None,
        **{name: _number(value[0]) for name, value in _of_sums(sums[None], len(labels)).items()},
    }


def label_scores(
    probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64]
) -> tuple[LabelScores, ...]:
    """Of each label. Shapes as above."""
    said, there = answered(probabilities, labels, thresholds), labels > 0
    counts = zip(*((each.sum(axis=0).tolist()) for each in (said & there, said, there, labels >= 0)), strict=True)
    precisions = average_precisions(torch.from_numpy(probabilities), torch.from_numpy(labels)).tolist()
    return tuple(
        LabelScores(
            _number(average_precision),
            _share(hits, answers),
            _share(hits, support),
            _share(2 * hits, answers + support),
            support,
            known,
            threshold,
        )
        for average_precision, (hits, answers, support, known), threshold in zip(
            precisions, counts, thresholds.tolist(), strict=True
        )
    )


def answered(
    probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(N, C): which labels are answered, of those that are known."""
    return np.asarray((probabilities >= thresholds) & (labels >= 0))


def beyond(
    probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, C): how surely each label is answered wrongly; -1 where it is right, or not known.

    The share of the way that its probability has gone from its threshold to the answer's end: 0 if missed, 1 if said.
    """
    there, known, said = labels > 0, labels >= 0, answered(probabilities, labels, thresholds)
    way = np.where(said, 1 - thresholds, thresholds)
    gone = np.divide(np.abs(probabilities - thresholds), way, out=np.ones_like(way), where=way > 0)
    return np.where((said != there) & known, gone, -1.0)


def surprises_of(probabilities: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """(N, C): -ln of what was given to the truth, at most 708; 0 for a label that is not known."""
    given = np.where(labels > 0, probabilities, 1 - probabilities)
    return np.where(labels >= 0, -log_of(given), 0.0)


def losses_of(probabilities: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """(N,): the mean over an image's known labels of these; 0 for an image of which nothing is known."""
    return np.asarray(surprises_of(probabilities, labels).sum(axis=1) / np.maximum(1, (labels >= 0).sum(axis=1)))


def _columns(
    probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64]
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float64]]:
    """What every score of `_of_sums` is a function of the sums of: three times (N, C), and (N, 4).

    Whether the image has each label, is answered so, and both; whether it is answered rightly in all; how many of its
    labels are known; their negative log-likelihoods and their squared errors, summed.
    """
    said, there, known = answered(probabilities, labels, thresholds), labels > 0, labels >= 0
    errors = np.where(known, probabilities - there, 0.0)
    single = [
        (said == there).all(axis=1),
        known.sum(axis=1),
        surprises_of(probabilities, labels).sum(axis=1),
        np.einsum("nc,nc->n", errors, errors),
    ]
    return [there, said, said & there], np.stack(single, axis=1).astype(np.float64)


def _of_sums(sums: NDArray[np.float64], num_images: int) -> dict[str, NDArray[np.float64]]:
    """Each score by its name, (R,), of (R, 3 C + 4) sums of the columns over so many images; no number for 0 of 0."""
    there, said, hits = np.split(sums[:, :-4], 3, axis=1)  # (R, C) each
    exact, known, nll, brier = sums[:, -4:].T
    counted = (there + said > 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return {
            "micro_f1": 2 * hits.sum(axis=1) / (there + said).sum(axis=1),
            "macro_f1": np.nansum(2 * hits / (there + said), axis=1) / counted,
            "exact_match": exact / num_images,
            "nll": nll / known,
            "brier": brier / known,
        }


def _intervals(
    probabilities: NDArray[np.float64], labels: NDArray[Any], thresholds: NDArray[np.float64], seed: int
) -> dict[str, Interval]:
    """Draws in which a score is no number, since no label is in them, do not count."""
    from scipy import sparse  # type: ignore[import-untyped]  # imported here: it takes a second

    counts, single = _columns(probabilities, labels, thresholds)
    columns = sparse.hstack([*(sparse.csr_array(each.astype(np.float64)) for each in counts), single], format="csr")
    replicates = {
        "map": resampled_map(probabilities, labels, seed=seed),
        **_of_sums(resampled_sums(columns, seed=seed), len(labels)),
    }
    known = {name: values[~np.isnan(values)] for name, values in replicates.items()}
    found = {
        name: interval(values) if name in _SURPRISES else share_interval(values, len(labels))
        for name, values in known.items()
        if len(values)
    }
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
