"""Several labels a picture: those whose probability reaches their threshold are the answer, which may be none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.errors import ConfigError
from trainer.inference.answer import Answer
from trainer.inference.multi.columns import NO_LABEL, Columns
from trainer.inference.saved import SavedRun
from trainer.inference.thresholds import are_known, thresholds_of
from trainer.task.ranking import mean_average_precision
from trainer.task.task import Task


@dataclass(frozen=True)
class Reaching:
    """Answers with all labels that reach their threshold."""

    task: Task
    thresholds: NDArray[np.float64]
    """(C,)"""
    note: str = ""

    activation = "sigmoid"
    score_in_words = "Mean average precision"
    no_label = NO_LABEL
    no_temperature = (
        "where a picture may have several labels, each is answered by its own threshold, without a temperature"
    )

    def answer(self, classes: Sequence[str], probabilities: NDArray[np.float64]) -> Answer:
        reached = self._said(probabilities)
        order = np.argsort(-probabilities, kind="stable")
        labels = tuple(classes[place] for place in order.tolist() if reached[place])
        by_name = dict(zip(classes, probabilities.tolist(), strict=True))
        return Answer(", ".join(labels) or NO_LABEL, float(probabilities.max()), by_name, labels)

    def columns(self, classes: Sequence[str], topk: int | None) -> Columns:
        if topk is not None:
            raise ConfigError(
                "topk: a picture of this run has all labels that reach their threshold, however many. Leave it out, or "
                "set the threshold of all labels: threshold=0.5"
            )
        return Columns(classes)

    def equal(self, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray((self._said(ours) == self._said(theirs)).all(axis=1))

    def equal_labels(self, ours: NDArray[Any], theirs: NDArray[Any]) -> float:
        one, other = self._said(ours), self._said(theirs)
        answered = int(one.sum() + other.sum())
        return 2 * int((one & other).sum()) / answered if answered else 1.0

    def score_of(self, probabilities: NDArray[Any], labels: NDArray[Any]) -> float | None:
        if not (labels > 0).any():
            return None
        return mean_average_precision(torch.tensor(probabilities, dtype=torch.float64), torch.tensor(labels))

    def told(self, classes: Sequence[str]) -> dict[str, Any]:
        return {"task": "multi", "thresholds": dict(zip(classes, self.thresholds.tolist(), strict=True))}

    def _said(self, probabilities: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(probabilities >= self.thresholds)


def answering(run: SavedRun, threshold: float | None) -> Reaching:
    """The run's own, or with one threshold for all labels."""
    if threshold is not None:
        return Reaching(run.task, np.full(len(run.classes), threshold))
    note = "" if are_known(run) else f"{run.path} tells of no validation to choose thresholds by: each label has 0.5."
    return Reaching(run.task, thresholds_of(run), note)
