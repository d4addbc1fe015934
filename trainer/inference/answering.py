"""How a run's probabilities become an answer, task by task: the one place where load, predict and export ask for it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.errors import ConfigError
from trainer.inference.answer import Answer
from trainer.inference.multi import answering as multi
from trainer.inference.predictions import Columns
from trainer.inference.saved import SavedRun
from trainer.inference.single import answering as single
from trainer.task.task import Task

Probabilities = NDArray[np.floating[Any]]


class Answering(Protocol):
    """How pictures are answered. Probabilities are (N, C), labels those of the task."""

    @property
    def task(self) -> Task:
        """Whose probabilities they are."""

    @property
    def activation(self) -> str:
        """What makes probabilities of logits: softmax or sigmoid."""

    @property
    def score_in_words(self) -> str:
        """What stands before the figure of the task's score."""

    @property
    def no_label(self) -> str:
        """What an answer without any label is called."""

    @property
    def no_temperature(self) -> str:
        """Why its probabilities are not calibrated by a temperature, in words; empty where they may be."""

    @property
    def note(self) -> str:
        """A word on what was not known; empty where all was."""

    def answer(self, classes: Sequence[str], probabilities: NDArray[np.float64]) -> Answer:
        """Of one picture: (C,)."""

    def columns(self, classes: Sequence[str], topk: int | None) -> Columns:
        """What predict tells of each picture. Raises ConfigError for a topk that means nothing."""

    def equal(self, ours: Probabilities, theirs: Probabilities) -> NDArray[np.bool_]:
        """(N,): whether both are the same answer."""

    def equal_labels(self, ours: Probabilities, theirs: Probabilities) -> float | None:
        """The share of the answered labels that both answer: the micro F1 of one beside the other. None where each
        picture has one label, and answers are as equal as labels."""

    def score_of(self, probabilities: Probabilities, labels: NDArray[Any]) -> float | None:
        """None where no picture has a label."""

    def told(self, classes: Sequence[str]) -> dict[str, Any]:
        """What a program must know to answer as the run does, beside its classes: plain data."""


_ANSWERINGS: dict[str, Callable[[SavedRun, float | None], Answering]] = {
    "single": single.answering,
    "multi": multi.answering,
}


def answering_of(run: SavedRun, threshold: float | None = None) -> Answering:
    """That of a run's task. threshold: the probability below which no label is answered; None is the run's own."""
    return _ANSWERINGS[run.task.name](run, threshold)


def check_calibration(run: SavedRun) -> None:
    """Raises ConfigError where the task has no temperature."""
    if reason := answering_of(run).no_temperature:
        raise ConfigError(f"calibrated: {reason}. Leave it out.")
