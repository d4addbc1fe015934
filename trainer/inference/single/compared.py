"""What runs are compared by, where each picture has one label."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.inference.single.written import FIRST, labels_in_words
from trainer.report.page.scores import Scores
from trainer.task.single import SINGLE

SHARES: Mapping[str, Callable[[Scores], float]] = {"accuracy": lambda scores: scores.accuracy}
RIGHT = "accuracy"
BEST = "is right most often"


def answered(rows: Sequence[Sequence[str]], told: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """path -> label and answer, as the rows of predictions.csv have them; no label where none is scored."""
    return {row[0]: (row[1], row[2]) for row in rows[1:] if len(row) >= len(FIRST)}


def validated(
    saved: Mapping[str, Any], config: Mapping[str, Any], classes: Sequence[str]
) -> list[tuple[str, str]] | None:
    """Label and answer of each validation image, by a best.pt; None where it does not tell."""
    verdicts = SINGLE.verdicts_in(saved)
    if verdicts is None:
        return None
    columns = (labels_in_words(column, classes) for column in (verdicts.labels, verdicts.answers))
    return list(zip(*columns, strict=True))
