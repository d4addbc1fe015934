"""The images that are worth a look, where each has several labels, or none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.inference.mistakes import Ranked, doubtful_labels, highest_losses
from trainer.inference.multi.scoring import Evaluation, answered, beyond, losses_of
from trainer.inference.scored import MOST_SHOWN, Scored

_TRUSTED = 0.5
"""How far a model that may doubt labels stands between chance and perfection: below, the mistakes are its own."""


@dataclass(frozen=True)
class LabelDoubt:
    """A label of an image that is told wrongly. Both are places."""

    image: int
    label: int
    margin: float
    """By how much the opposite is the more probable."""


def thresholds_in(evaluation: Evaluation) -> NDArray[np.float64]:
    """(C,): from which on the labels are answered."""
    return np.array([each.threshold for each in evaluation.per_class])


def answers_of(scored: Scored[Evaluation]) -> NDArray[np.bool_]:
    """(N, C): the labels that are answered, known or not."""
    return np.asarray(scored.probabilities >= thresholds_in(scored.evaluation))


def mistakes_of(scored: Scored[Evaluation]) -> list[tuple[int, int]]:
    """Image and label of the answers that are wrong, surest first: said though not there, or missed."""
    sure = beyond(scored.probabilities, scored.labels, thresholds_in(scored.evaluation))
    images, labels = np.nonzero(sure >= 0)
    chosen = np.argsort(-sure[images, labels], kind="stable")[:MOST_SHOWN]
    return list(zip(images[chosen].tolist(), labels[chosen].tolist(), strict=True))


def losses_in(scored: Scored[Evaluation]) -> Ranked:
    """The highest negative log-likelihoods of a label, in the mean over an image."""
    losses = losses_of(scored.probabilities, scored.labels)
    return highest_losses(losses, scored.labels.max(axis=1), MOST_SHOWN)


def cannot_doubt(scored: Scored[Evaluation]) -> str:
    """Why no label can be called wrong, in words; empty where one can. Chance is always the commoner answer."""
    if scored.has_learnt:
        return scored.has_learnt
    there, known = scored.labels > 0, scored.labels >= 0
    said = answered(scored.probabilities, scored.labels, thresholds_in(scored.evaluation))
    right = ((said == there) & known).sum() / known.sum()
    commoner = np.maximum(there.sum(axis=0), (known & ~there).sum(axis=0)).sum() / known.sum()
    if commoner == 1:
        return "all images have the same labels"
    if (right - commoner) / (1 - commoner) < _TRUSTED:
        return f"the model answers {right:.0%} of the labels rightly, and always the commoner answer {commoner:.0%}"
    return ""


def doubts_of(scored: Scored[Evaluation]) -> list[LabelDoubt]:
    """The labels that are probably told wrongly, the clearest first; none is looked for where none can be called so.

    Each label is a question with two answers, so it is judged as one of two classes.
    """
    if cannot_doubt(scored):
        return []
    found = [
        LabelDoubt(doubt.image, label, doubt.margin)
        for label, (probabilities, labels) in enumerate(zip(scored.probabilities.T, scored.labels.T, strict=True))
        for doubt in doubtful_labels(np.stack([1 - probabilities, probabilities], axis=1), labels.astype(np.int64))
    ]
    return sorted(found, key=lambda doubt: -doubt.margin)
