"""What predict tells of a picture that may have several labels: those that it has, and the probability of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainer.inference.answer import Answer
from trainer.inference.multi.words import joined
from trainer.inference.predictions import cell, width_of
from trainer.inference.spreadsheet import escaped

NO_LABEL = "no label"
"""The answer for a picture none of whose labels reaches its threshold."""


@dataclass(frozen=True)
class Columns:
    """Those of CSV, of JSON lines and of the table."""

    classes: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Known by their place: a class may be named as another column."""
        return ["prediction", *map(escaped, self.classes)]

    def words(self, answer: Answer | None) -> list[str]:
        if answer is None:
            return [""] * len(self.names)
        return [escaped(joined(answer.labels)), *(f"{share:.6f}" for share in answer.probabilities.values())]

    def plain(self, answer: Answer | None) -> dict[str, Any]:
        if answer is None:
            return {"prediction": None, "probabilities": None}
        rounded = {name: round(share, 6) for name, share in answer.probabilities.items()}
        return {"prediction": list(answer.labels), "probabilities": rounded}

    @property
    def heads(self) -> list[str]:
        return [cell("prediction", self._widest), cell("likeliest", self._width + 8)]

    def cells(self, answer: Answer) -> list[str]:
        (likeliest, share), *_ = answer.top(1)
        return [cell(answer.name, self._widest), f"{cell(likeliest, self._width)} {share:>6.1%} "]

    @cached_property
    def _width(self) -> int:
        """Of a class on a terminal."""
        return width_of((*self.classes, "likeliest"))

    @cached_property
    def _widest(self) -> int:
        """Of an answer."""
        return width_of((", ".join(self.classes), NO_LABEL, "unreadable"))
