"""One label a picture: all that is asked of its judge."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.inference.saved import SavedRun
from trainer.inference.single.compared import BEST, RIGHT, SHARES, answered, validated
from trainer.inference.single.scoring import Evaluation, score
from trainer.inference.single.selected import figures, mistake, surest_mistakes
from trainer.inference.single.telling import lacking, left_out, tell
from trainer.inference.single.written import labels_in_words, rows, scores, worth_a_look
from trainer.inference.temperature import fitted
from trainer.task.single import Verdicts

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


NO_THRESHOLD = "where each picture has one label, the likeliest class is the answer, and no threshold decides"


def probabilities(logits: Tensor, verdicts: Verdicts) -> NDArray[np.float64]:
    """(N, C): the softmax, in double precision."""
    return np.asarray(logits.double().softmax(dim=1).numpy())


def evaluation(
    runs: Sequence[SavedRun],
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    loss: float | None,
    temperature: float | None,
    threshold: float | None,
) -> Evaluation:
    """The scores of probabilities (N, C) on images with labels (N,). No threshold decides."""
    return score(probabilities, labels, runs[0].classes, loss=loss, temperature=temperature)
