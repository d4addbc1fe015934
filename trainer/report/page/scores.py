"""What weights are worth on some pictures, as a page tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.report.page.pictures import Mistake

ALIKE = 0.03
"""How far apart two shares are called alike: what was promised, and what was kept."""
Bin = tuple[float, float, int, float | None, float | None]
"""Of a reliability diagram: low, high, answers, how sure they were, how often they were right."""


@dataclass(frozen=True)
class Scores:
    """What the weights are worth on some pictures. What is not known is None or empty."""

    part: str
    """test | validation | train, or the name of another set."""
    images: int
    accuracy: float
    """The share of the images that are answered right; of several labels a picture, in all of them."""
    classes: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    """Where 95 % of the score lies."""
    per_class: Mapping[str, Mapping[str, Any]] | None = None
    confusion: Sequence[Sequence[int]] | None = None
    pairs: Sequence[tuple[str, str, int]] = ()
    """(label, answer, images) of what is confused most, most first."""
    ece: float | None = None
    bins: Sequence[Bin] = ()
    temperature: float | None = None
    mistakes: Sequence[Mistake] = ()
    suspects: Sequence[Mapping[str, Any]] = ()
    others: Mapping[str, float] | None = None
    """More scores, by the words that a page has for them."""
    folder: Path | None = None
    """Where the evaluation lies; None where training counted."""
    place: str = ""
    """Of another set than the run's own: the path that it was found at, where that is known."""
    ranking: float | None = None
    """The task's score where that is not the accuracy."""

    @property
    def pictures(self) -> str:
        """Which pictures: a part of the run's own, or another set by its whole path."""
        return self.place or self.part

    @property
    def score(self) -> float:
        """The task's own, by which runs are ranked."""
        return self.accuracy if self.ranking is None else self.ranking

    def counted(self, share: float) -> str:
        """'25 of 50': a share of the images in words."""
        count = round(share * self.images)
        if count == self.images:
            return f"all {count:,}"
        return f"{count:,} of {self.images:,}" if count else f"none of {self.images:,}"


@dataclass(frozen=True)
class Column:
    """A figure of each class. key: in per_class; has_bar: drawn too."""

    heading: str
    key: str
    has_bar: bool = False


@dataclass(frozen=True)
class ClassTable:
    """The figures class by class."""

    title: str
    row: str
    """What a row is of."""
    terms: Sequence[tuple[str, str]]
    """What the headings mean."""
    columns: Sequence[Column]


def part_of(scores: Scores) -> str:
    """What the pictures are called that were scored."""
    return {"train": "training"}.get(scores.part, scores.part)


def pictures_right(scores: Scores) -> str:
    """'25 of 50 validation pictures': those that are answered right."""
    learnt = ", which it has learnt" if scores.part == "train" else ""
    which = f"pictures of {scores.pictures}" if scores.place else f"{part_of(scores)} pictures{learnt}"
    if not scores.images:  # of a run of an earlier release
        return f"{scores.accuracy:.1%} of the {which}"
    return f"{scores.counted(scores.accuracy)} {which}"


def part_named(data: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """The part that an evaluation in this folder is of; and, of another set than the run's own, where that was."""
    if data.get("own_data", True):
        return {"val": "validation"}.get(folder.name, folder.name), ""
    return folder.name, str(data.get("pictures", ""))


def interval_in(data: Mapping[str, Any], score: str) -> tuple[float, float] | None:
    """Where 95 % of a score of an evaluation lies, where that is told."""
    interval = data.get("intervals", {}).get(score)
    return None if interval is None else (float(interval[0]), float(interval[1]))


def bins_in(told: Mapping[str, Any]) -> list[Bin]:
    """The reliability diagram, where there is one."""
    bins = told.get("reliability") or ()
    return [(each["low"], each["high"], each["images"], each["confidence"], each["accuracy"]) for each in bins]
