"""What a page says where a picture may have several labels."""

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
from trainer.task.multi import Multi
from trainer.task.task import Task

TASK: Task = Multi()
TABLE = ClassTable(
    "Label by label",
    "label",
    (
        (
            "Average precision",
            "list the pictures by how sure it is of the label, stop at any that has it, and so many of those listed "
            "have it, on average",
        ),
        ("Recall", "how many of the pictures with the label it finds"),
        ("Precision", "how often it is right when it says the label"),
        ("F1", "both in one"),
        ("Threshold", "how sure it must be to say the label"),
    ),
    (
        Column("images", "support"),
        Column("average precision", "average_precision", has_bar=True),
        Column("F1", "f1", has_bar=True),
        Column("recall", "recall"),
        Column("precision", "precision"),
        Column("threshold", "threshold"),
    ),
)
TERMS: Sequence[tuple[str, str]] = (
    ("Exact match", "the pictures all of whose labels are right"),
    ("Micro F1", "the F1 of all labels counted together"),
    ("Macro F1", "the mean of the labels' own"),
)
EXPECT = "a mean average precision of "
SPOKE_FOR = "the label that is wrong"
BELOW = "its probability is too high"
RIGHT = IS_RIGHT = "the label is there"

_HARDLY = 0.1
"""A share of the way from a random order to a perfect one that is hardly more than luck."""


def of_evaluation(data: Mapping[str, Any], folder: Path) -> Scores:
    """What an evaluation.json tells. Raises KeyError, TypeError or ValueError if it is none."""
    part, place = part_named(data, folder)
    return Scores(
        part=part,
        images=int(data["images"]),
        accuracy=float(data["exact_match"]),
        classes=tuple(map(str, data["classes"])),
        interval=interval_in(data, TASK.score),
        per_class=data["per_class"],
        ece=data.get("ece"),
        bins=bins_in(data),
        mistakes=tuple(map(_mistake, data.get("mistakes", ()))),
        suspects=tuple(data.get("suspect_labels", ())),
        others=_others(data),
        folder=folder,
        place=place,
        ranking=float(data[TASK.score] or 0.0),
    )


def of_counts(part: str, told: Mapping[str, Any], score: float, classes: tuple[str, ...]) -> Scores:
    """What training counted, as summary.json tells it."""
    return Scores(
        part,
        told.get("images") or 0,
        told.get("exact_match") or 0.0,
        classes,
        per_class=told.get("per_class"),
        others=_others(told),
        ranking=score,
    )


def outcome(scores: Scores) -> str:
    """It in a sentence."""
    worst = _worst(scores)
    return f"It gets every label right on {pictures_right(scores)}{f'; it most often {worst}' if worst else ''}."


def no_better(scores: Scores) -> str:
    """The sentence on a model that orders pictures as chance would; empty for a better one."""
    chance = _chance(scores)
    if not chance or scores.score - chance > _HARDLY * (1 - chance) or scores.score == 1:
        return ""
    how = "no better" if scores.score <= chance else "hardly better"
    return f"It finds the pictures of a label {how} than chance, whose {TASK.score_in_words} would be {chance:.1%}."


def meaning(scores: Scores) -> list[str]:
    """Sentences on what mean average precision is."""
    chance = _chance(scores)
    random = f", where a random order has {chance:.1%}" if chance else ""
    return [
        f"Its mean average precision is {scores.score:.1%}{random}: list the pictures by how sure it is of a label, "
        f"stop at any that has it, and so many of those listed have it, on average."
    ]


def chosen(config: Mapping[str, Any]) -> str:
    """What was chosen on the validation images, up to the verb."""
    task = config.get("task")
    is_said = isinstance(task, Mapping) and task.get("threshold") is not None
    return "The best epoch was" if is_said else "The best epoch and the thresholds of the labels were"


def calibration(scores: Scores) -> str:
    """Whether labels are there as often as it says. Thresholds differ, so that no probability stands for an answer."""
    told = [
        (count, given, there) for _, _, count, given, there in scores.bins if given is not None and there is not None
    ]
    labels = sum(count for count, _, _ in told)
    given, there = (sum(each[0] * each[place] for each in told) / labels for place in (1, 2))
    gap = given - there
    are = "about right on average" if abs(gap) < ALIKE else "too high" if gap > 0 else "too low"
    return f"Its probabilities are {are}: a label has {given:.1%} on average, and is there in {there:.1%}."


def alternative(mistake: Mistake) -> str:
    """What is read where the picture of a mistake cannot be seen."""
    return f"{mistake.label}, {mistake.prediction} {'missed' if mistake.missed else 'said too'}"


def caption(mistake: Mistake) -> Sequence[tuple[str, bool]]:
    """What is said of a mistake, in pieces; True: it is what matters."""
    how = "missed" if mistake.missed else "said too"
    sure = f" {how}, {100 * mistake.probability:.0f}% sure of it"
    return (mistake.label, True), (": ", False), (mistake.prediction, True), (sure, False)


def _mistake(told: Mapping[str, Any]) -> Mistake:
    label = " and ".join(map(str, told["labels"])) or "no label"
    missed = bool(told["is_there"])
    return Mistake(str(told["path"]), label, str(told["label"]), float(told["probability"]), missed=missed)


def _others(told: Mapping[str, Any]) -> dict[str, float]:
    words = {
        "exact_match": "exact match",
        "micro_f1": "micro F1",
        "macro_f1": "macro F1",
        "nll": "log loss",
        "brier": "Brier score",
    }
    return {name: told[key] for key, name in words.items() if told.get(key) is not None}


def _chance(scores: Scores) -> float:
    """The mean average precision of a random order: how frequent the labels are; 0 where that is not known.

    A label is looked for among the images of which it is known: all, as far as earlier releases tell.
    """
    told = [each for each in (scores.per_class or {}).values() if each["support"] and each.get("known", scores.images)]
    shares = [each["support"] / each.get("known", scores.images) for each in told]
    return sum(shares) / len(shares) if shares else 0.0


def _worst(scores: Scores) -> str:
    """The mistake that is made most often, in words; empty where none is known."""
    found = []
    for name, figures in (scores.per_class or {}).items():
        hits = (figures["recall"] or 0.0) * figures["support"]
        found.append((round(figures["support"] - hits), f"misses “{name}”"))
        if hits and figures["precision"]:  # else how often it was said is not known
            found.append((round(hits / figures["precision"] - hits), f"sees “{name}” where it is not"))
    most, words = max(found, key=lambda each: each[0], default=(0, ""))
    return words if most else ""
