"""What predict tells of a picture that shows one class: the likeliest ones, each with its probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainer.inference.answer import Answer
from trainer.inference.predictions import cell, width_of
from trainer.inference.spreadsheet import escaped

UNSURE = "unsure"
"""The answer for a picture whose likeliest class stays below the threshold."""


@dataclass(frozen=True)
class Columns:
    """Those of CSV, of JSON lines and of the table."""

    classes: Sequence[str]
    topk: int
    """How many of them are told, at most all."""
    likeliest: bool
    """Whether the likeliest class has a column of its own, since the answer need not name it."""

    @property
    def count(self) -> int:
        return min(self.topk, len(self.classes))

    @property
    def names(self) -> list[str]:
        more = [f"{what}_{place}" for place in range(2, self.count + 1) for what in ("prediction", "probability")]
        return ["prediction", "probability", *more, *(["likeliest"] if self.likeliest else [])]

    def words(self, answer: Answer | None) -> list[str]:
        return [f"{word:.6f}" if isinstance(word, float) else escaped(word or "") for word in self._told(answer)]

    def plain(self, answer: Answer | None) -> dict[str, Any]:
        rounded = [round(word, 6) if isinstance(word, float) else word for word in self._told(answer)]
        return dict(zip(self.names, rounded, strict=True))

    @property
    def heads(self) -> list[str]:
        ranks = ["prediction", *(f"{place}." for place in range(2, self.count + 1))]
        return [cell(rank, self._width + 8) for rank in ranks] + [cell("likeliest", self._width)] * self.likeliest

    def cells(self, answer: Answer) -> list[str]:
        cells = [f"{cell(name, self._width)} {share:>6.1%} " for name, share in self._best(answer)]
        return cells + [cell(self._likeliest(answer), self._width)] * self.likeliest

    @cached_property
    def _width(self) -> int:
        """Of a class on a terminal."""
        return width_of((*self.classes, UNSURE, "prediction"))

    def _told(self, answer: Answer | None) -> list[str | float | None]:
        """The columns' content, as wide for a picture without answer."""
        if answer is None:
            return [None] * len(self.names)
        told = [word for pair in self._best(answer) for word in pair]
        return [*told, *([self._likeliest(answer)] if self.likeliest else [])]

    def _best(self, answer: Answer) -> list[tuple[str, float]]:
        """The likeliest answers with their probabilities, `unsure` as the first where it is one."""
        (_, probability), *others = answer.top(self.count)
        return [(answer.name, probability), *others]

    def _likeliest(self, answer: Answer) -> str:
        return answer.top(1)[0][0]
