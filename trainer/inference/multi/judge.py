"""Several labels a picture: all that is asked of their judge."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.inference.ensemble import ensemble
from trainer.inference.multi.answering import answering
from trainer.inference.multi.compared import BEST, RIGHT, SHARES, answered, validated
from trainer.inference.multi.scoring import Evaluation, score
from trainer.inference.multi.selected import figures, mistake, surest_mistakes
from trainer.inference.multi.telling import lacking, left_out, tell
from trainer.inference.multi.words import labels_in_words
from trainer.inference.multi.written import rows, scores, worth_a_look
from trainer.inference.saved import SavedRun
from trainer.task.multi import Verdicts

__all__ = [
    "BEST",
    "NO_THRESHOLD",
    "RIGHT",
    "SHARES",
    "answered",
    "evaluation",
    "figures",
    "fitted",
    "labels_in_words",
    "lacking",
    "left_out",
    "mistake",
    "probabilities",
    "rows",
    "scores",
    "surest_mistakes",
    "tell",
    "validated",
    "worth_a_look",
]


NO_THRESHOLD = ""


def probabilities(logits: Tensor, verdicts: Verdicts) -> NDArray[np.float64]:
    """(N, C): the very ones that training ranks and chooses thresholds by."""
    return np.asarray(verdicts.probabilities.double().numpy())


def evaluation(
    runs: Sequence[SavedRun],
    probabilities: NDArray[np.float64],
    labels: NDArray[Any],
    loss: float | None,
    temperature: float | None,
    threshold: float | None,
) -> Evaluation:
    """The scores of probabilities (N, C) on images with labels (N, C).

    Labels are answered from the runs' own thresholds on, several runs together from the mean of these; or all from one.
    """
    together = ensemble([(str(run.path), run.classes) for run in runs])
    (thresholds,) = together.mean([answering(run, threshold).thresholds[None] for run in runs])
    return score(probabilities, labels, runs[0].classes, thresholds, loss=loss)


def fitted(run: SavedRun, probabilities: NDArray[np.float64], labels: NDArray[Any]) -> None:
    """No temperature: a label is answered from its own threshold on, which stands among these very probabilities."""
