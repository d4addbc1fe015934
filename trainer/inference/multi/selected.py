"""What the selected weights answered when they were last validated, where a picture has several labels."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from trainer.inference.multi.scoring import label_scores, scores
from trainer.inference.thresholds import chosen
from trainer.report.page.pictures import Mistake
from trainer.task.multi import Multi, Verdicts

_TOLD = ("micro_f1", "macro_f1", "exact_match")


def figures(
    answers: Verdicts | None, classes: Sequence[str], task: Multi, validation: Verdicts | None
) -> dict[str, Any]:
    """Plain data for summary.json; nothing in any of it where the answers are not known.

    per_class: name -> average_precision, precision, recall, f1 (None where there is nothing to divide by), support and
    threshold. images: those with a label that is known. micro_f1, macro_f1: over all labels, and the mean of theirs.
    exact_match: the share of the images all of whose labels are right. A label is answered from its threshold on, which
    the task says or is chosen in validation.
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


def surest_mistakes(answers: Verdicts, most: int) -> list[int]:
    """The images with the labels that are most surely answered wrongly, as places in their part, surest first."""
    distance = (answers.probabilities - (answers.labels > 0).float()).abs()
    distance = torch.where(answers.labels >= 0, distance, 0.0)
    worst = distance.max(dim=1).values if distance.numel() else torch.empty(0)
    places = (worst > 0.5).nonzero().flatten()
    return [int(place) for place in places[worst[places].argsort(descending=True, stable=True)][:most]]


def mistake(answers: Verdicts, place: int, classes: Sequence[str], path: str) -> Mistake:
    """One of them for a page, without its picture: of its labels the one that is most surely answered wrongly."""
    labels, probabilities = answers.labels[place], answers.probabilities[place]
    worst = int(torch.where(labels >= 0, (probabilities - (labels > 0).float()).abs(), -1.0).argmax())
    shown = " and ".join(name for name, label in zip(classes, labels.tolist(), strict=True) if label > 0) or "no label"
    return Mistake(path, shown, classes[worst], float(probabilities[worst]), missed=bool(labels[worst] > 0))
