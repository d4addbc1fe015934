"""Labelled pictures with what runs have answered, and what that is worth."""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.data.source import images_of_each
from trainer.inference.calibration import Reliability
from trainer.inference.labelled import Labelled
from trainer.inference.saved import SavedRun
from trainer.inference.temperature import Temperature
from trainer.schema import Tta
from trainer.task.task import Task

MOST_SHOWN = 24
"""Images of each kind that are worth a look: a page of them."""


class Evaluation(Protocol):
    """The scores of some probabilities, whatever a label is."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def images(self) -> int:
        """Those that have a label: the others are not scored."""

    @property
    def reliability(self) -> Reliability: ...

    def plain(self) -> dict[str, Any]:
        """What evaluation.json holds."""

    def brief(self) -> dict[str, Any]:
        """What it holds of one run among several."""


Found = TypeVar("Found", bound=Evaluation, covariant=True)
"""The evaluation of one task."""


@dataclass(frozen=True)
class Scored(Generic[Found]):
    """Some pictures with what was answered, and what that is worth."""

    runs: tuple[SavedRun, ...]
    pictures: Labelled
    """As the first run sees them."""
    tta: Tta
    engine: str
    probabilities: NDArray[np.float64]
    """(N, C), in the order of the first run's classes; of several runs the mean."""
    labels: NDArray[Any]
    """Those of the task, (N,) or (N, C), among the first run's classes; -1 where there is none that it knows."""
    evaluation: Found
    members: tuple[Found, ...]
    """Of each run by itself, where there are several."""
    fitted: Temperature | None
    """The temperature found on these pictures, where they are the validation part of one run."""
    notes: tuple[str, ...]
    objective: float | None = None
    """What the training of one run made small, on these pictures; None where it cannot be worked out."""
    threshold: float | None = None
    """From which on all labels were answered, where one was said for them."""

    @property
    def task(self) -> Task:
        """What a label is, to all of the runs."""
        return self.runs[0].task

    @property
    def has_learnt(self) -> str:
        """That the runs were trained on some of the very labels, in words; empty where that is not known."""
        if not self.pictures.has_trained_on:
            return ""
        if self.pictures.is_own:
            return "the model has learnt these very labels: say split=val or split=test"
        return "the model has learnt some of these: without words on data it is scored on those that were held out"

    @property
    def unknown(self) -> dict[str, int]:
        """Images of each class that the run does not know: they are left out of the scores."""
        classes, match = self.pictures.source.classes, self.pictures.match
        counts = images_of_each(self.pictures.labels, len(classes)).tolist()
        return {classes[place]: counts[place] for place, known in enumerate(match.places.tolist()) if known < 0}
