"""How answers are judged and told, task by task: the one place where a verb or a page asks for it."""

from collections.abc import Sequence
from typing import Any, Protocol

from trainer.inference import selected, several
from trainer.report.page.pictures import Mistake
from trainer.task.task import Task


class Judge(Protocol):
    """What is told of the answers of a task."""

    def figures(self, answers: Any, classes: Sequence[str]) -> dict[str, Any]:
        """Plain data for summary.json, class by class; nothing in any of it where the answers are None."""

    def surest_mistakes(self, answers: Any, most: int) -> list[int]:
        """Images that were answered wrongly, as places in their part, surest first."""

    def mistake(self, answers: Any, place: int, classes: Sequence[str], path: str) -> Mistake:
        """One of them for a page, without its picture."""


_JUDGES: dict[str, Judge] = {"single": selected, "multi": several}


def judge_of(task: Task | str) -> Judge:
    """The judge of a task, or of the one with this name."""
    return _JUDGES[task if isinstance(task, str) else task.name]
