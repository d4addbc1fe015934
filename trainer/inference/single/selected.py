"""What the selected weights answered when they were last validated: figures class by class, at no extra pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.inference.calibration import reliability
from trainer.report.page.pictures import Mistake
from trainer.task.single import SINGLE, Verdicts
from trainer.task.task import Task

_WIDEST = 100
"""Classes up to which the whole confusion matrix is told: of more, only the pairs that are confused most often."""
_PAIRS = 24


def figures(
    answers: Verdicts | None, classes: Sequence[str], task: Task = SINGLE, validation: Verdicts | None = None
) -> dict[str, Any]:
    """Plain data for summary.json; nothing in any of it where the answers are not known.

    per_class: name -> precision, recall, f1 (None where there is nothing to divide by) and support. confusion: a row
    for each label, a column for each answer. most_confused: pairs with their images, most first. ece, reliability: how
    far probabilities mean what they say. task, validation: no threshold decides, and so none is chosen.
    """
    if answers is None:
        return dict.fromkeys(("per_class", "confusion", "most_confused", "ece", "reliability"))
    labelled = (answers.labels >= 0).numpy()
    labels, said = (column.numpy()[labelled].astype(np.int64) for column in (answers.labels, answers.answers))
    calibration = reliability(answers.probabilities.numpy()[labelled].astype(np.float64), labels == said)
    pairs = labels * len(classes) + said
    confusion = np.bincount(pairs, minlength=len(classes) ** 2) if len(classes) <= _WIDEST else None
    return {
        "per_class": dict(zip(classes, _per_class(labels, said, len(classes)), strict=True)),
        "confusion": None if confusion is None else confusion.reshape(len(classes), len(classes)).tolist(),
        "most_confused": _most_confused(pairs[labels != said], classes),
        "ece": calibration.error,
        "reliability": calibration.plain(),
    }


def surest_mistakes(answers: Verdicts, task: Task, validation: Verdicts | None, most: int) -> list[tuple[int, int]]:
    """The images that were answered wrongly with the highest probability, and these answers, as places.

    task, validation: no threshold decides.
    """
    wrong = (answers.labels >= 0) & (answers.answers != answers.labels)
    places = np.flatnonzero(wrong.numpy())
    order = np.argsort(-answers.probabilities.numpy()[places], kind="stable")
    return [(int(place), int(answers.answers[place])) for place in places[order][:most]]


def mistake(answers: Verdicts, place: int, wrong: int, classes: Sequence[str], path: str) -> Mistake:
    """One of them for a page, without its picture."""
    return Mistake(path, classes[int(answers.labels[place])], classes[wrong], float(answers.probabilities[place]))


def _per_class(labels: NDArray[np.int64], answers: NDArray[np.int64], num_classes: int) -> list[dict[str, Any]]:
    support, answered, hits = (
        np.bincount(each, minlength=num_classes).tolist() for each in (labels, answers, labels[labels == answers])
    )
    return [
        {
            "precision": _share(hit, given),
            "recall": _share(hit, there),
            "f1": _share(2 * hit, there + given),
            "support": there,
        }
        for there, given, hit in zip(support, answered, hits, strict=True)
    ]


def _most_confused(pairs: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    codes, counts = np.unique(pairs, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_PAIRS]
    return [
        {"label": classes[code // len(classes)], "answer": classes[code % len(classes)], "images": count}
        for code, count in zip(codes[order].tolist(), counts[order].tolist(), strict=True)
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
