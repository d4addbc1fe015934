"""How answers are judged and told, task by task: the one place where a verb or a page asks for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.inference.multi import judge as multi
from trainer.inference.saved import SavedRun
from trainer.inference.scored import Scored
from trainer.inference.single import judge as single
from trainer.inference.temperature import Temperature
from trainer.report.page.pictures import Mistake
from trainer.report.page.scores import Scores
from trainer.task.task import Task


class Judge(Protocol):
    """What is told of the answers of a task. Answers, labels and evaluations are those of the task."""

    SHARES: Mapping[str, Callable[[Scores], float]]
    """What runs are compared by, by its heading: the score that they are ranked by first."""
    RIGHT: str
    """The heading of the share of the images that are answered rightly."""
    BEST: str
    """'is right most often': of the run with the greatest such share."""
    NO_THRESHOLD: str
    """Why nobody can say from which probability on a label is answered, in words; empty where one can."""

    def figures(self, answers: Any, classes: Sequence[str], task: Any, validation: Any) -> dict[str, Any]:
        """Plain data for summary.json, class by class; nothing in any of it where the answers are None.

        validation: what the same weights answered in validation, where thresholds are chosen.
        """

    def surest_mistakes(self, answers: Any, task: Any, validation: Any, most: int) -> list[tuple[int, int]]:
        """Images that were answered wrongly, surest first: places in their part, each with that of the wrong class.

        validation: as `figures` has it.
        """

    def mistake(self, answers: Any, place: int, wrong: int, classes: Sequence[str], path: str) -> Mistake:
        """One of them for a page, without its picture."""

    def probabilities(self, logits: Tensor, verdicts: Any) -> NDArray[np.float64]:
        """(N, C) of logits (N, C), and of what training's own evaluation made of the same batches."""

    def evaluation(
        self,
        runs: Sequence[SavedRun],
        probabilities: NDArray[np.float64],
        labels: NDArray[Any],
        loss: float | None,
        temperature: float | None,
        threshold: float | None,
    ) -> Any:
        """The scores of a run's probabilities, or of several runs' means, among the first run's classes.

        threshold: of all labels, in place of the runs' own; None where the task has none.
        Raises DataError if no image has a label, TrainerError if a probability is no number.
        """

    def fitted(self, run: SavedRun, probabilities: NDArray[np.float64], labels: NDArray[Any]) -> Temperature | None:
        """The temperature that mends the run's calibration on these images; None where the task has none."""

    def labels_in_words(self, labels: Tensor, classes: Sequence[str]) -> list[str]:
        """(N,), as predictions.csv has them."""

    def left_out(self, unknown: Mapping[str, int]) -> str:
        """The sentence on classes of a set that the run does not know, and their images."""

    def lacking(self, missing: Sequence[str]) -> str:
        """The sentence on classes of the run that a set does not have."""

    def tell(self, scored: Scored[Any]) -> None:
        """Prints the scores."""

    def scores(self, scored: Scored[Any]) -> dict[str, Any]:
        """Plain data for evaluation.json."""

    def worth_a_look(self, scored: Scored[Any]) -> dict[str, Any]:
        """The same of images that are worth a look."""

    def rows(self, scored: Scored[Any]) -> Iterator[list[str]]:
        """Those of predictions.csv."""

    def answered(self, rows: Sequence[Sequence[str]], told: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """path -> label and answer, of predictions.csv and evaluation.json: alike where the answer is right.

        The label is empty where none is scored.
        """

    def validated(
        self, saved: Mapping[str, Any], config: Mapping[str, Any], classes: Sequence[str]
    ) -> list[tuple[str, str]] | None:
        """The same of each validation image, of a best.pt and the stored config; None where it does not tell."""


_JUDGES: dict[str, Judge] = {"single": single, "multi": multi}


def judge_of(task: Task | str) -> Judge:
    """The judge of a task, or of the one with this name."""
    return _JUDGES[task if isinstance(task, str) else task.name]
