"""How the scores of a task are read from records, and told: the one place where a page asks what is a task's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainer.report.page import multi, single
from trainer.report.page.pictures import Mistake
from trainer.report.page.scores import ClassTable, Scores
from trainer.task.task import Task


class Wording(Protocol):
    """What a page says of the scores of a task."""

    TASK: Task
    TABLE: ClassTable
    EXPECT: str
    """What on other pictures lies in the interval, where that is not clear from the sentence before."""
    TERMS: Sequence[tuple[str, str]]
    """What more scores mean, where that is said."""
    SPOKE_FOR: str
    """What the map beside a mistake is of."""
    RIGHT: str
    IS_RIGHT: str
    """What the bars of a reliability diagram count, in short and as a clause."""
    BELOW: str
    """What is wrong where they end below what was promised."""

    def of_evaluation(self, data: Mapping[str, Any], folder: Path) -> Scores:
        """What an evaluation.json tells. Raises KeyError, TypeError or ValueError if it is none."""

    def of_counts(self, part: str, told: Mapping[str, Any], score: float, classes: tuple[str, ...]) -> Scores:
        """What training counted, as summary.json tells it."""

    def outcome(self, scores: Scores) -> str:
        """It in a sentence."""

    def no_better(self, scores: Scores) -> str:
        """The sentence on a model that has learnt next to nothing; empty for a better one."""

    def meaning(self, scores: Scores) -> list[str]:
        """Sentences on what the score is, for one who has not met it."""

    def chosen(self, config: Mapping[str, Any]) -> str:
        """What was chosen on the validation images, up to the verb."""

    def calibration(self, scores: Scores) -> str:
        """A sentence on whether it is as sure as it is right. There are bins of a reliability diagram."""

    def alternative(self, mistake: Mistake) -> str:
        """What is read where the picture of a mistake cannot be seen."""

    def caption(self, mistake: Mistake) -> Sequence[tuple[str, bool]]:
        """What is said of a mistake, in pieces; True: it is what matters."""


_WORDINGS: dict[str, Wording] = {"single": single, "multi": multi}


def wording_of(task: str) -> Wording:
    """That of the task with this name; of one that no page knows, that of a single label a picture."""
    return _WORDINGS.get(task, single)


def of_training(summary: Mapping[str, Any], classes: tuple[str, ...] = ()) -> list[Scores]:
    """What the run itself counted, on its test part and in validation."""
    wording = wording_of(summary.get("task", "single"))
    score, found = wording.TASK.score, list[Scores]()
    test, best = summary.get("test") or {}, summary.get("best") or {}
    if score in test:
        found.append(wording.of_counts("test", test, test[score], classes))
    if f"val_{score}" in best:
        part = "test" if summary.get("validated_on") == "test" else "validation"
        found.append(wording.of_counts(part, summary, best[f"val_{score}"], classes))
    return found
