"""From which probability on a run answers a label, where a picture may have several."""

import numpy as np
from numpy.typing import NDArray

from trainer.inference.saved import SavedRun
from trainer.task.multi import Multi, Verdicts
from trainer.task.ranking import best_thresholds


def thresholds_of(run: SavedRun) -> NDArray[np.float64]:
    """(C,): those of a folder that was exported, else as they are chosen.

    One half where no validation is at hand: weights of another epoch than the best tell of none.
    """
    assert isinstance(run.task, Multi)
    if (told := run.validation.get("thresholds")) is not None:
        return np.array(told, dtype=np.float64)
    return chosen(run.task, run.task.verdicts_in(run.validation), len(run.classes))


def are_known(run: SavedRun) -> bool:
    """Whether the run tells its thresholds, or what they are chosen by."""
    assert isinstance(run.task, Multi)
    return bool(run.validation) or run.task.threshold is not None


def chosen(task: Multi, validation: Verdicts | None, num_classes: int) -> NDArray[np.float64]:
    """(C,): the one that the task says for all labels, else for each the one of the greatest F1 in validation."""
    if task.threshold is not None or validation is None:
        return np.full(num_classes, 0.5 if task.threshold is None else task.threshold)
    return np.asarray(best_thresholds(validation.probabilities.double(), validation.labels).numpy())
