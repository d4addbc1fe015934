"""What a tracker is: a program of others that keeps and shows runs, told beside the run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL.Image import Image

PROJECT = "trainer"
"""Under what the runs stand in a tracker, where nobody says."""


@dataclass(frozen=True)
class Group:
    """A multirun, as a tracker is to know it. Its id is the same in all its jobs."""

    id: str
    name: str
    folder: Path


@dataclass(frozen=True)
class Tracked:
    """A run as a tracker is to know it."""

    id: str
    """As the name it lies in the run folder: a run that goes on is the same."""
    name: str
    folder: Path
    output: Path
    """The folder of all runs."""
    group: Group | None
    """The multirun that it is a job of."""
    project: str | None
    """As said; None is what the tracker's own environment says, else PROJECT."""
    config: Mapping[str, bool | int | float | str]


@dataclass(frozen=True)
class Picture:
    """A picture of the page. name: of a file, without its ending, with / for folders."""

    name: str
    caption: str
    image: Image


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    status: str
    """finished | stopped | pruned | failed, as in summary.json."""
    step: int
    scores: Mapping[str, float]
    pictures: Sequence[Picture]
    page: Path | None
    weights: Path | None
    """The best, where they are to be told."""


class Tracker(Protocol):
    """One run in one tracker. It may raise whatever it likes, and take its time: tracking.py sees to that."""

    look: str
    """How to see the run: a command or a place."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name. Of a run that goes on all are told again, from the first: it keeps none twice."""

    def end(self, outcome: Outcome) -> None:
        """The last that it is told: nothing of the run is left waiting afterwards."""
