"""What the selected weights answered when they were last validated, where a picture has several labels."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from trainer.inference.multi.scoring import beyond, label_scores, scores
from trainer.inference.thresholds import chosen
from trainer.report.page.pictures import Mistake
from trainer.task.multi import Multi, Verdicts

_TOLD = ("micro_f1", "macro_f1", "exact_match")


def figures(
    answers: Verdicts | None, classes: Sequence[str], task: Multi, validation: Verdicts | None
) -> dict[str, Any]:
    """Plain data for summary.json; nothing in any of it where the answers are not known.

    per_class: name -> average_precision, precision, recall, f1 (None where there is nothing to divide by), support,
    known and threshold. images: those with a label that is known. micro_f1, macro_f1: over all labels, and the mean of
    theirs. exact_match: the share of the images all of whose labels are right. A label is answered from its threshold
    on, which the task says or is chosen in validation.
    """
    if answers is None or not answers.images:
        return dict.fromkeys(("per_class", "images", *_TOLD))
    labels, probabilities = answers.labels.numpy(), answers.probabilities.double().numpy()
    labelled = (labels >= 0).any(axis=1)
    given = probabilities[labelled], labels[labelled], chosen(task, validation, len(classes))
    told = scores(*given)
    return {
        "per_class": {name: asdict(each) for name, each in zip(classes, label_scores(*given), strict=True)},
        "images": answers.images,
        **{key: told[key] for key in _TOLD},
    }


def surest_mistakes(answers: Verdicts, task: Multi, validation: Verdicts | None, most: int) -> list[tuple[int, int]]:
    """The images with the labels that are most surely answered wrongly, and the worst label of each, as places."""
    if not answers.labels.numel():
        return []
    labels, probabilities = answers.labels.numpy(), answers.probabilities.double().numpy()
    sure = beyond(probabilities, labels, chosen(task, validation, labels.shape[1]))
    worst = sure.argmax(axis=1)
    order = np.argsort(-sure.max(axis=1), kind="stable")[: min(most, int((sure >= 0).any(axis=1).sum()))]
    return [(int(place), int(worst[place])) for place in order]


def mistake(answers: Verdicts, place: int, wrong: int, classes: Sequence[str], path: str) -> Mistake:
    """One of them for a page, without its picture."""
    labels, probability = answers.labels[place].tolist(), float(answers.probabilities[place, wrong])
    shown = " and ".join(name for name, label in zip(classes, labels, strict=True) if label > 0) or "no label"
    return Mistake(path, shown, classes[wrong], probability, missed=labels[wrong] > 0)
