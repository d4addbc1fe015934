"""What a page says where a picture has one label."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.report.page.pictures import Mistake
from trainer.report.page.scores import (
    ALIKE,
    ClassTable,
    Column,
    Scores,
    bins_in,
    interval_in,
    part_named,
    pictures_right,
)
from trainer.task.single import SINGLE
from trainer.task.task import Task

TASK: Task = SINGLE
TABLE = ClassTable(
    "Class by class",
    "class",
    (
        ("Recall", "how many of a class it finds"),
        ("Precision", "how often it is right when it says the class"),
    ),
    (
        Column("images", "support"),
        Column("recall", "recall", has_bar=True),
        Column("precision", "precision"),
        Column("F1", "f1"),
    ),
)
TERMS: Sequence[tuple[str, str]] = ()
EXPECT = ""
SPOKE_FOR = "its answer"
BELOW = "it is too sure"
RIGHT, IS_RIGHT = "right", "it is right"

_LUCK = 1.25
"""How many times what guessing gets is hardly more than guessing."""


def of_evaluation(data: Mapping[str, Any], folder: Path) -> Scores:
    """What an evaluation.json tells. Raises KeyError, TypeError or ValueError if it is none."""
    classes = tuple(map(str, data["classes"]))
    others = {
        "balanced accuracy": data.get("balanced_accuracy"),
        "among the first five": data.get("top5") if len(classes) > 5 else None,
        "ROC-AUC": data.get("roc_auc"),
        "log loss": data.get("nll"),
        "Brier score": data.get("brier"),
    }
    part, place = part_named(data, folder)
    return Scores(
        part=part,
        images=int(data["images"]),
        accuracy=float(data["accuracy"]),
        classes=classes,
        interval=interval_in(data, "accuracy"),
        per_class=data["per_class"],
        confusion=data["confusion"],
        pairs=_pairs(data["confusion"], classes),
        ece=data.get("ece"),
        bins=bins_in(data),
        temperature=data.get("temperature"),
        mistakes=tuple(map(_mistake, data.get("mistakes", ()))),
        suspects=tuple(data.get("suspect_labels", ())),
        others={words: value for words, value in others.items() if value is not None},
        folder=folder,
        place=place,
    )


def of_counts(part: str, told: Mapping[str, Any], score: float, classes: tuple[str, ...]) -> Scores:
    """What training counted, as summary.json tells it."""
    images = told.get("images")
    if images is None:
        images = sum(each["support"] for each in (told.get("per_class") or {}).values())
    return Scores(
        part,
        images,
        score,
        classes,
        _wilson(score, images) if images else None,
        told.get("per_class"),
        told.get("confusion"),
        [(each["label"], each["answer"], each["images"]) for each in told.get("most_confused") or ()],
        told.get("ece"),
        bins_in(told),
    )


def outcome(scores: Scores) -> str:
    """It in a sentence."""
    sentence = f"It is right on {pictures_right(scores)}"
    if scores.pairs:
        label, answer, _ = scores.pairs[0]
        return f"{sentence}; it most often takes “{label}” for “{answer}”."
    return f"{sentence}."


def no_better(scores: Scores) -> str:
    """The sentence on a model that might as well give one answer for every picture; empty for a better one."""
    guessing = _guessing(scores)
    if not guessing or scores.accuracy > _LUCK * guessing or scores.accuracy == 1:
        return ""
    sentence = f"It is right on {pictures_right(scores)}"
    if scores.accuracy <= guessing:
        return f"{sentence}: no better than always giving one answer."
    always = f"always giving one answer, which is right on {scores.counted(guessing)}"
    return f"{sentence}: hardly better than {always}."


def meaning(scores: Scores) -> list[str]:
    """Nothing: whoever has been right knows what it is."""
    return []


def chosen(config: Mapping[str, Any]) -> str:
    """What was chosen on the validation images, up to the verb."""
    return "The best epoch was"


def calibration(scores: Scores) -> str:
    """How sure it is of its answers on average, and how often they are right."""
    images = sum(each[2] for each in scores.bins)
    sure = sum(count * (sure or 0.0) for _, _, count, sure, _ in scores.bins) / images
    gap = sure - scores.accuracy
    is_it = "about as sure as it is right" if abs(gap) < ALIKE else "too sure of itself" if gap > 0 else "too unsure"
    return f"It is {is_it}: on average {sure:.0%} sure, and right in {scores.accuracy:.0%}."


def alternative(mistake: Mistake) -> str:
    """What is read where the picture of a mistake cannot be seen."""
    return f"{mistake.label}, taken for {mistake.prediction}"


def caption(mistake: Mistake) -> Sequence[tuple[str, bool]]:
    """What is said of a mistake, in pieces; True: it is what matters."""
    sure = f", {100 * mistake.probability:.0f}% sure"
    return (mistake.label, True), (" taken for ", False), (mistake.prediction, True), (sure, False)


def _mistake(told: Mapping[str, Any]) -> Mistake:
    path, label, prediction = (str(told[key]) for key in ("path", "label", "prediction"))
    return Mistake(path, label, prediction, float(told["probability"]))


def _guessing(scores: Scores) -> float:
    """What always the most frequent class would be right in; 0 where it is not known."""
    supports = [each["support"] for each in (scores.per_class or {}).values()]
    return max(supports) / sum(supports) if sum(supports) else 0.0


def _pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[tuple[str, str, int]]:
    found = [
        (label, answer, count)
        for label, row in zip(classes, confusion, strict=True)
        for answer, count in zip(classes, row, strict=True)
        if count and label != answer
    ]
    return sorted(found, key=lambda pair: -pair[2])[:24]


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Where 95 % of a share lies that was found on so many images (Wilson 1927)."""
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
