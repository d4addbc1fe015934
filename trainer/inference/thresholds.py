"""From which probability on a run answers a label, where a picture may have several."""

import numpy as np
from numpy.typing import NDArray

from trainer.inference.saved import SavedRun
from trainer.task.multi import Multi
from trainer.task.precision import best_thresholds


def thresholds_of(run: SavedRun) -> NDArray[np.float64]:
    """(C,): the one that its config says for all labels, else for each the one of the greatest F1 in validation.

    One half where no validation is at hand: weights of another epoch than the best tell of none.
    """
    assert isinstance(run.task, Multi)
    if run.task.threshold is not None:
        return np.full(len(run.classes), run.task.threshold)
    if (told := run.validation.get("thresholds")) is not None:
        return np.array(told, dtype=np.float64)
    verdicts = run.task.verdicts_in(run.validation)
    if verdicts is None:
        return np.full(len(run.classes), 0.5)
    return np.asarray(best_thresholds(verdicts.probabilities.double(), verdicts.labels).numpy())
