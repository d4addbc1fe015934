"""What evaluation.json and predictions.csv hold, where each picture has one label."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from trainer.inference.mistakes import highest_losses
from trainer.inference.scored import MOST_SHOWN, Scored
from trainer.inference.single.scoring import Evaluation, losses_of, most_confused
from trainer.inference.single.worth_a_look import cannot_doubt, doubts_of, mistakes_of
from trainer.inference.spreadsheet import escaped, escaped_path

_MOST_DOUBTS = 200
FIRST = ("path", "label", "prediction", "probability")


def scores(scored: Scored[Evaluation]) -> dict[str, Any]:
    """The scores as plain data."""
    evaluation = scored.evaluation
    return {
        **evaluation.plain(),
        "objective": scored.objective,
        "reliability": evaluation.reliability.plain(),
        "most_confused": most_confused(evaluation, MOST_SHOWN),
    }


def worth_a_look(scored: Scored[Evaluation]) -> dict[str, Any]:
    """The images that are worth a look, and why no labels are doubted where none are."""
    paths, classes = scored.pictures.paths, scored.evaluation.classes
    losses, answers = losses_of(scored.probabilities, scored.labels), scored.probabilities.argmax(axis=1)

    def told(image: int) -> dict[str, Any]:
        return {
            "path": paths[image],
            "label": classes[int(scored.labels[image])],
            "prediction": classes[int(answers[image])],
            "probability": float(scored.probabilities[image, answers[image]]),
            "loss": float(losses[image]),
        }

    return {
        "mistakes": [told(image) for image in mistakes_of(scored).indices.tolist()],
        "highest_losses": [told(image) for image in highest_losses(losses, scored.labels, MOST_SHOWN).indices.tolist()],
        "suspect_labels": [
            {**told(doubt.image), "likely": classes[doubt.likely], "margin": doubt.margin}
            for doubt in doubts_of(scored)[:_MOST_DOUBTS]
        ],
        "no_suspects_because": cannot_doubt(scored) or None,
    }


def labels_in_words(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """(N,), as predictions.csv has them: empty where there is none."""
    names = (*classes, "")  # -1, for no label, is the last
    return [names[label] for label in labels.tolist()]


def rows(scored: Scored[Evaluation]) -> Iterator[list[str]]:
    """The heading, then a row an image. Columns are known by their place: a class may be named as one of the first."""
    classes, pictures = scored.evaluation.classes, scored.pictures
    labels = labels_in_words(pictures.labels, pictures.source.classes)
    answers = scored.probabilities.argmax(axis=1).tolist()
    yield [*FIRST, *map(escaped, classes)]
    for path, label, answer, probabilities in zip(pictures.paths, labels, answers, scored.probabilities, strict=True):
        figures = [f"{value:.6f}" for value in probabilities.tolist()]
        yield [escaped_path(path), escaped(label), escaped(classes[answer]), figures[answer], *figures]
