"""What evaluation.json and predictions.csv hold, where each picture has several labels, or none."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.inference.multi.scoring import Evaluation, losses_of
from trainer.inference.multi.words import joined, labels_in_words
from trainer.inference.multi.worth_a_look import answers_of, cannot_doubt, doubts_of, losses_in, mistakes_of
from trainer.inference.scored import Scored
from trainer.inference.spreadsheet import escaped, escaped_path

_MOST_DOUBTS = 200
FIRST = ("path", "labels", "prediction")


def scores(scored: Scored[Evaluation]) -> dict[str, Any]:
    """The scores as plain data."""
    evaluation = scored.evaluation
    return {
        **evaluation.plain(),
        "objective": scored.objective,
        "reliability": evaluation.reliability.plain(),
    }


def worth_a_look(scored: Scored[Evaluation]) -> dict[str, Any]:
    """The images that are worth a look, and why no labels are doubted where none are.

    mistakes: label is the one that was answered wrongly; is_there: whether the picture has it, and so it was missed.
    """
    paths, classes = scored.pictures.paths, scored.evaluation.classes
    losses, said = losses_of(scored.probabilities, scored.labels), _predictions(scored)

    def told(image: int) -> dict[str, Any]:
        labels = [name for name, value in zip(classes, scored.labels[image].tolist(), strict=True) if value > 0]
        return {"path": paths[image], "labels": labels, "prediction": said[image], "loss": float(losses[image])}

    def of_label(image: int, label: int) -> dict[str, Any]:
        return {
            **told(image),
            "label": classes[label],
            "is_there": bool(scored.labels[image, label] > 0),
            "probability": float(scored.probabilities[image, label]),
        }

    return {
        "mistakes": [of_label(image, label) for image, label in mistakes_of(scored)],
        "highest_losses": [told(image) for image in losses_in(scored).indices.tolist()],
        "suspect_labels": [
            {**of_label(doubt.image, doubt.label), "margin": doubt.margin} for doubt in doubts_of(scored)[:_MOST_DOUBTS]
        ],
        "no_suspects_because": cannot_doubt(scored) or None,
    }


def rows(scored: Scored[Evaluation]) -> Iterator[list[str]]:
    """The heading, then a row an image. Columns are known by their place: a class may be named as one of the first."""
    classes, pictures = scored.evaluation.classes, scored.pictures
    labels = labels_in_words(pictures.labels, pictures.source.classes)
    yield [*FIRST, *map(escaped, classes)]
    for path, label, said, probabilities in zip(
        pictures.paths, labels, _predictions(scored), scored.probabilities, strict=True
    ):
        figures = [f"{value:.6f}" for value in probabilities.tolist()]
        yield [escaped_path(path), escaped(label), escaped(joined(said)), *figures]


def _predictions(scored: Scored[Evaluation]) -> list[list[str]]:
    """The labels that are answered for each image, likeliest first."""
    classes, answers = scored.evaluation.classes, answers_of(scored)
    order = np.argsort(-scored.probabilities, axis=1, kind="stable")
    return [[classes[label] for label in row if answers[image, label]] for image, row in enumerate(order.tolist())]
