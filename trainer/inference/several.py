"""What the selected weights answered when they were last validated, where a picture has several labels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.report.page.pictures import Mistake
from trainer.task.multi import Verdicts
from trainer.task.ranking import average_precisions, best_thresholds


def figures(answers: Verdicts | None, classes: Sequence[str]) -> dict[str, Any]:
    """Plain data for summary.json; nothing in any of it where the answers are not known.

    per_class: name -> average_precision, threshold, precision, recall, f1 (None where there is nothing to divide by)
    and support. images: those with a label that is known. micro_f1, macro_f1: over all labels, and the mean of theirs.
    exact_match: the share of the images all of whose labels are right. Answers are those from the thresholds on that
    make each label's F1 greatest on these images.
    """
    if answers is None:
        return dict.fromkeys(("per_class", "images", "micro_f1", "macro_f1", "exact_match"))
    labels, probabilities = answers.labels, answers.probabilities.double()
    thresholds = best_thresholds(probabilities, labels)
    known, there = labels >= 0, labels > 0
    said = (probabilities >= thresholds) & known
    hits, answered, support = ((said & there).sum(0), said.sum(0), there.sum(0))
    f1 = _shares(2 * hits, answered + support)
    columns = {
        "average_precision": _known(average_precisions(probabilities, labels)),
        "threshold": thresholds.tolist(),
        "precision": _shares(hits, answered),
        "recall": _shares(hits, support),
        "f1": f1,
        "support": support.tolist(),
    }
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    found = [each for each in f1 if each is not None]
    wrong = ((said != there) & known).any(dim=1)
    return {
        "per_class": dict(zip(classes, rows, strict=True)),
        "micro_f1": _shares(2 * hits.sum()[None], (answered + support).sum()[None])[0],
        "images": answers.images,
        "macro_f1": sum(found) / len(found) if found else None,
        "exact_match": float((~wrong)[known.any(dim=1)].double().mean()) if known.any() else None,
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


def _shares(parts: Tensor, wholes: Tensor) -> list[float | None]:
    return [part / whole if whole else None for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True)]


def _known(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
