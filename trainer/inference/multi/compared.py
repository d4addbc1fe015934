"""What runs are compared by, where each picture has several labels, or none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.inference.multi.columns import NO_LABEL
from trainer.inference.multi.words import joined, split
from trainer.inference.multi.written import FIRST
from trainer.inference.thresholds import chosen
from trainer.report.page.scores import Scores
from trainer.task.multi import Multi

RIGHT = "exact match"
SHARES: Mapping[str, Callable[[Scores], float]] = {
    "mean average precision": lambda scores: scores.score,
    RIGHT: lambda scores: scores.accuracy,
}
BEST = "has all labels right most often"


def answered(rows: Sequence[Sequence[str]], told: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """path -> label and answer, as the rows of predictions.csv have them; no label where none is scored.

    told: what evaluation.json says. Both are of the labels that are scored: known, and of classes that the run knows.
    """
    known = frozenset(rows[0][len(FIRST) :]) - frozenset(told["missing_classes"])
    found = {}
    for path, label, answer, *_ in rows[1:]:
        (shown, unknown), (said, _) = split(label), split(answer)
        found[path] = _pair(shown, said, known - unknown)
    return found


def validated(
    saved: Mapping[str, Any], config: Mapping[str, Any], classes: Sequence[str]
) -> list[tuple[str, str]] | None:
    """Label and answer of each validation image, by a best.pt; None where it does not tell."""
    task = Multi(config["task"].get("threshold"))
    verdicts = task.verdicts_in(saved)
    if verdicts is None:
        return None
    names = np.array(classes, dtype=object)
    said = verdicts.probabilities.double().numpy() >= chosen(task, verdicts, len(classes))
    return [
        _pair(frozenset(names[labels > 0]), frozenset(names[answers]), frozenset(names[labels >= 0]))
        for labels, answers in zip(verdicts.labels.numpy(), said, strict=True)
    ]


def _pair(shown: frozenset[str], said: frozenset[str], scored: frozenset[str]) -> tuple[str, str]:
    return (_told(shown & scored), _told(said & scored)) if scored else ("", "")


def _told(names: Iterable[str]) -> str:
    r"""In a cell that has no other meaning: a class may be called as having none is, and then it has a \ before it."""
    cell = joined(sorted(names))
    return f"\\{cell}" if cell == NO_LABEL else cell or NO_LABEL
