"""What the answers of a classifier are worth, where each image has one label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError, TrainerError
from trainer.inference.calibration import Reliability, log_of, reliability
from trainer.inference.resampling import Interval, interval, resampled_sums, share_interval

_TOP = 5
_BRIEF = ("accuracy", "top5", "balanced_accuracy", "loss", "nll", "brier", "ece", "intervals")


@dataclass(frozen=True)
class ClassScores:
    """Of one class, in [0, 1]; None for a share of nothing: nothing was answered so, or no image is of the class."""

    precision: float | None
    """The share of the images answered so that are of the class."""
    recall: float | None
    """The share of the images of the class that are answered so."""
    f1: float | None
    """The harmonic mean of the two, 0 where they have no image in common."""
    support: int
    """Images of the class."""


@dataclass(frozen=True)
class BinaryScores:
    """Of a set with two classes, where the probability of the second ranks the images. None where one has no images."""

    roc_auc: float | None
    average_precision: float | None
    f1_threshold: float | None
    """The lowest probability of the second class from which on to answer it, so that its F1 is greatest."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of some probabilities on images whose labels are known."""

    classes: tuple[str, ...]
    images: int
    """Those that have a label: the others are not scored."""
    accuracy: float
    top5: float
    """The share of the images whose label is among the five likeliest answers, or among all where they are fewer."""
    balanced_accuracy: float
    """The mean recall of the classes that have images."""
    macro_f1: float
    """The mean F1 of the classes that have images or answers."""
    loss: float | None
    """As in training, with its class weights and smoothing; None where no one loss belongs to the answers."""
    nll: float
    """Negative log-likelihood: the mean of -ln of the label's probability."""
    brier: float
    """The mean over the images of the squared error of their probabilities, summed over the classes: 0 to 2."""
    reliability: Reliability
    temperature: float | None
    """That which mends the calibration, where one was fitted. It is not applied to what is scored here."""
    per_class: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]
    """(C, C): a row for each label, a column for each answer."""
    binary: BinaryScores | None
    """None where there are not two classes."""
    intervals: dict[str, Interval]
    """Where 95 % of the score lies, by its name; none of a score that resampling does not move."""

    def plain(self) -> dict[str, Any]:
        """What evaluation.json holds."""
        return {
            "accuracy": self.accuracy,
            "top5": self.top5,
            "balanced_accuracy": self.balanced_accuracy,
            "loss": self.loss,
            "nll": self.nll,
            "brier": self.brier,
            "ece": self.reliability.error,
            "temperature": self.temperature,
            **(asdict(self.binary) if self.binary else {}),
            "images": self.images,
            "per_class": {name: asdict(scores) for name, scores in zip(self.classes, self.per_class, strict=True)},
            "confusion": self.confusion.tolist(),
            "classes": list(self.classes),
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
        }

    def brief(self) -> dict[str, Any]:
        """What it holds of one run among several."""
        plain = self.plain()
        return {key: plain[key] for key in _BRIEF}


def score(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    loss: float | None = None,
    temperature: float | None = None,
    seed: int = 0,
) -> Evaluation:
    """The scores of (N, C) probabilities on images with (N,) labels, -1 for images without one.

    The answer is the likeliest class, the first of equals, as in training. loss: what the criterion of the training
    made of the same images: summed by who calls, for its last digits are a matter of the order. seed: of the resampling
    for the intervals. Raises DataError if no image has a label, TrainerError if a probability is no number.
    """
    assert probabilities.shape == (len(labels), len(classes)) and labels.max(initial=-1) < len(classes)
    labelled = labels >= 0
    if not labelled.any():
        raise DataError(f"None of the {len(labels):,} images has a label that is a class: there is nothing to score.")
    probabilities, labels = probabilities[labelled], labels[labelled]
    if wrong := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise TrainerError(
            f"The model gives no numbers (NaN or infinity) for {wrong:,} of {len(labels):,} images: try precision=fp32."
        )
    answers = probabilities.argmax(axis=1)
    per_class, confusion = _by_class(labels, answers, len(classes))
    columns = _columns(probabilities, labels, answers)
    values = {name: float(value[0]) for name, value in _scores(columns.sum(axis=0)[None], len(labels)).items()}
    return Evaluation(
        classes=tuple(classes),
        images=len(labels),
        **values,
        loss=loss,
        reliability=reliability(probabilities.max(axis=1), answers == labels),
        temperature=temperature,
        per_class=per_class,
        confusion=confusion,
        binary=_binary(probabilities[:, 1], labels == 1) if len(classes) == 2 else None,
        intervals=_intervals(columns, len(classes), seed),
    )


def losses_of(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,): -ln of the label's probability, at most 708; 0 for an image without a label."""
    own = np.take_along_axis(probabilities, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    return np.where(labels >= 0, -log_of(own), 0.0)


def most_confused(evaluation: Evaluation, most: int) -> list[str]:
    """'cat taken for dog: 12 of 100 (12%)' for the pairs of classes that are confused most often, in that order."""
    mistakes = evaluation.confusion * (1 - np.eye(len(evaluation.classes), dtype=np.int64))
    sentences = []
    for place in np.argsort(-mistakes, axis=None, kind="stable")[:most].tolist():
        label, answer = divmod(place, len(evaluation.classes))
        count, support = int(mistakes[label, answer]), evaluation.per_class[label].support
        if count == 0:
            break
        pair = f"{evaluation.classes[label]} taken for {evaluation.classes[answer]}"
        sentences.append(f"{pair}: {count:,} of {support:,} ({_percent(count / support)})")
    return sentences


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def _by_class(
    labels: NDArray[np.int64], answers: NDArray[np.int64], num_classes: int
) -> tuple[tuple[ClassScores, ...], NDArray[np.int64]]:
    """The scores of each class, and the confusion matrix."""
    from sklearn.metrics import precision_recall_fscore_support  # type: ignore[import-untyped]  # it takes a second

    figures = precision_recall_fscore_support(labels, answers, labels=range(num_classes), zero_division=np.nan)
    *shares, support = (column.tolist() for column in figures)
    precision, recall, f1 = ([None if isnan(share) else share for share in column] for column in shares)
    per_class = tuple(map(ClassScores, precision, recall, f1, support))
    confusion = np.bincount(labels * num_classes + answers, minlength=num_classes**2)
    return per_class, confusion.reshape(num_classes, num_classes)


def _binary(probabilities: NDArray[np.float64], positive: NDArray[np.bool_]) -> BinaryScores:
    """Of the second class's probabilities, and of which images are of it."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    if not positive.any():
        return BinaryScores(None, None, None)
    precision, recall, thresholds = precision_recall_curve(positive, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return BinaryScores(
        roc_auc=None if positive.all() else float(roc_auc_score(positive, probabilities)),
        average_precision=float(average_precision_score(positive, probabilities)),
        f1_threshold=float(thresholds[f1.argmax()]),  # never the curve's last point: it has no threshold, and F1 0
    )


def _columns(probabilities: NDArray[np.float64], labels: NDArray[np.int64], answers: NDArray[np.int64]) -> Any:
    """(N, 3 C + 3), sparse: what every score of `_scores` is a function of the sums of.

    Whether the image is of each class, is answered so, and both; whether the label is among the five likeliest; its
    negative log-likelihood and its Brier score.
    """
    from scipy import sparse  # type: ignore[import-untyped]

    num_images, num_classes = probabilities.shape
    rows = np.arange(num_images)
    own = probabilities[rows, labels]
    # Of equals the first is the likelier, as it is for the answer.
    likelier = (probabilities > own[:, None]) | (
        (probabilities == own[:, None]) & (np.arange(num_classes) < labels[:, None])
    )
    errors = probabilities.copy()
    errors[rows, labels] -= 1
    single = [likelier.sum(axis=1) < _TOP, losses_of(probabilities, labels), np.einsum("nc,nc->n", errors, errors)]
    hits = rows[answers == labels]

    def one_hot(places: NDArray[np.int64], classes: NDArray[np.int64]) -> Any:
        return sparse.csr_array((np.ones(len(places)), (places, classes)), shape=(num_images, num_classes))

    counts = [one_hot(rows, labels), one_hot(rows, answers), one_hot(hits, labels[hits])]
    return sparse.hstack([*counts, sparse.csr_array(np.stack(single, axis=1))], format="csr")


def _scores(sums: NDArray[np.float64], num_images: int) -> dict[str, NDArray[np.float64]]:
    """Each score by its name, (R,), of (R, 3 C + 3) sums of the columns over so many images."""
    of_class, answered, hits = np.split(sums[:, :-3], 3, axis=1)  # (R, C) each
    top5, nll, brier = sums[:, -3:].T / num_images
    with np.errstate(invalid="ignore"):  # 0 of 0 is no number, and not in the mean
        recall, f1 = hits / of_class, 2 * hits / (of_class + answered)
    return {
        "accuracy": hits.sum(axis=1) / num_images,
        "top5": top5,
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "nll": nll,
        "brier": brier,
    }


def _intervals(columns: Any, num_classes: int, seed: int) -> dict[str, Interval]:
    num_images = columns.shape[0]
    replicates = _scores(resampled_sums(columns, seed=seed), num_images)
    if num_classes <= _TOP:
        del replicates["top5"]  # 1, whatever the images
    found = {
        name: interval(values) if name in ("nll", "brier") else share_interval(values, num_images)
        for name, values in replicates.items()
    }
    return {name: bounds for name, bounds in found.items() if bounds is not None}
