"""One label a picture: the likeliest class is the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.inference.answer import Answer
from trainer.inference.saved import SavedRun
from trainer.inference.single.columns import UNSURE, Columns
from trainer.task.single import SINGLE
from trainer.task.task import Task

_TOPK = 3


@dataclass(frozen=True)
class Likeliest:
    """Answers with the likeliest class, or with none where it stays below a threshold."""

    threshold: float = 0.0

    task: ClassVar[Task] = SINGLE
    activation = "softmax"
    score_in_words = "Right"
    no_label = UNSURE
    no_temperature = note = ""

    def answer(self, classes: Sequence[str], probabilities: NDArray[np.float64]) -> Answer:
        best = int(probabilities.argmax())
        by_name = dict(zip(classes, probabilities.tolist(), strict=True))
        labels = (classes[best],) if probabilities[best] >= self.threshold else ()
        return Answer(*(labels or (UNSURE,)), float(probabilities[best]), by_name, labels)

    def columns(self, classes: Sequence[str], topk: int | None) -> Columns:
        return Columns(classes, topk or _TOPK, likeliest=self.threshold > 0)

    def equal(self, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(ours.argmax(axis=1) == theirs.argmax(axis=1))

    def equal_labels(self, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
        return None

    def score_of(self, probabilities: NDArray[Any], labels: NDArray[Any]) -> float | None:
        known = labels >= 0
        return float((probabilities.argmax(axis=1) == labels)[known].mean()) if known.any() else None

    def told(self, classes: Sequence[str]) -> dict[str, Any]:
        return {}


def answering(run: SavedRun, threshold: float | None) -> Likeliest:
    """The run's."""
    return Likeliest(threshold or 0.0)
