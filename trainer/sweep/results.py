"""What became of the runs of a sweep, and which of them compare: read from their folders, and ranked."""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.errors import CheckpointError
from trainer.records.folder import RunFolder, read_json
from trainer.settings import SCORES
from trainer.sweep.luck import luck_in_words

REPETITIONS = ("data.fold", "seed")
"""What is varied to repeat a run, not to change it."""
_STATUSES = {"finished": "done", "failed": "FAILED", "": "unfinished"}
_LONG, _FRACTION = 8, re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|\d+e-\d+")
_NO_PARAMETERS = ("resume", "name", "output")


@dataclass(frozen=True)
class Result:
    """A run of a sweep, as far as its files tell."""

    run: str
    """The name of its folder."""
    said: Mapping[str, str]
    """The words of this job: key -> value."""
    status: str
    """done, FAILED, unfinished, or another as summary.json has it: pruned, stopped."""
    best: Mapping[str, Any] = field(default_factory=dict)
    """Of the best epoch: its number, and scores by name."""
    task: str = "single"
    classes: tuple[str, ...] = ()
    validation: str = ""
    """A checksum of the images that it was validated on; empty where it is not known."""
    validated: int = 0
    """On how many images; 0 where it is not known."""
    seconds: float | None = None

    def ranked_by(self, monitor: str) -> str:
        """The score that was asked for, or that of its own task."""
        return monitor if monitor == "val_loss" else SCORES[self.task]

    def place(self, monitor: str) -> tuple[float, float]:
        """What sorts the best monitored score first; where it is the same, the best of the other."""
        score, loss = -self.best.get(SCORES[self.task], 0.0), self.best.get("val_loss", math.inf)
        return (loss, score) if monitor == "val_loss" else (score, loss)


@dataclass(frozen=True)
class Group:
    """Runs that compare: they have one task and one set of classes, and were validated on the same images."""

    monitor: str
    """What they are ranked by."""
    results: Sequence[Result]
    """The best first."""

    def rank(self, result: Result) -> int:
        """From 1 on; those that are equally good share a rank."""
        place = result.place(self.monitor)
        return 1 + sum(each.place(self.monitor) < place for each in self.results)

    @property
    def luck(self) -> str:
        """What there is to say of scores that differ by no more than luck; nothing if they do."""
        scores = [each.best[self.monitor] for each in self.results]
        is_known = self.monitor == SCORES["single"] and len({each.validated for each in self.results}) == 1
        return luck_in_words(self.monitor, scores, self.results[0].validated) if is_known else ""


@dataclass(frozen=True)
class Standings:
    """A sweep, ranked."""

    monitor: str
    keys: Sequence[str]
    """What was said to the runs, and not the same to all."""
    groups: Sequence[Group]
    unranked: Sequence[Result]
    """Those that were ended early, by whatever, or have no score."""
    remarks: Sequence[str]
    """What does not compare, and why: a sentence each."""

    @property
    def results(self) -> list[Result]:
        """All of them: group by group, and then those without a rank."""
        return [*(each for group in self.groups for each in group.results), *self.unranked]

    @property
    def parameters(self) -> list[str]:
        """The keys by which a run was changed, not repeated."""
        return [key for key in self.keys if key not in REPETITIONS]

    def told(self, result: Result, keys: Sequence[str] | None = None) -> str:
        """What sets a run apart, in short."""
        chosen = self.keys if keys is None else keys
        words = [f"{key}={short(result.said[key])}" for key in chosen if key in result.said]
        return " ".join(words) or f"run {result.run}"


def short(value: str) -> str:
    """A fraction with four digits that count, where it has many more; whatever else is said stays as it is."""
    return f"{float(value):.4g}" if len(value) > _LONG and _FRACTION.fullmatch(value) else value


def standings(folder: Path, monitor: str) -> Standings:
    """The sweep in the folder. monitor: the score of the first run that selects its best epoch."""
    results = read_results(folder)
    keys = _varying(results)
    ranked = [each for each in results if each.status == "done" and each.ranked_by(monitor) in each.best]
    kinds = _kinds(ranked)
    by_kind: dict[Any, list[Result]] = {}
    for kind, result in zip(kinds, ranked, strict=True):
        by_kind.setdefault(kind, []).append(result)
    groups = [_group(monitor, members) for members in by_kind.values()]
    names = {each.run for each in ranked}
    unranked = [each for each in results if each.run not in names]
    remarks = [*_remarks(kinds, keys), *(group.luck for group in groups if group.luck)]
    return Standings(monitor, keys, groups, unranked, remarks)


def read_results(folder: Path) -> list[Result]:
    """The runs in the folder, in their order."""
    paths = [path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    return [_result(path) for path in sorted(paths, key=lambda path: int(path.name))]


def _result(path: Path) -> Result:
    summary, about = RunFolder(path).read_summary(), dict[str, Any]()
    with suppress(CheckpointError):  # one that is damaged costs no run its place
        about = read_json(RunFolder(path).about)
    words = [str(word).partition("=") for word in summary.get("overrides", [])]
    status = str(summary.get("status", ""))
    return Result(
        path.name,
        {key: value for key, _, value in words},
        _STATUSES.get(status, status),
        {key: value for key, value in (summary.get("best") or {}).items() if value is not None},
        summary.get("task", "single"),
        tuple(map(str, about.get("classes", ()))),
        about.get("validation_fingerprint", ""),
        about.get("images", {}).get("validation", 0),
        summary.get("seconds"),
    )


def _group(monitor: str, members: Sequence[Result]) -> Group:
    by = members[0].ranked_by(monitor)
    return Group(by, sorted(members, key=lambda each: each.place(by)))


def _kinds(results: Sequence[Result]) -> list[tuple[str, tuple[str, ...], int]]:
    """What the scores of each run are of: its task, its classes, and a number for its validation images.

    Where folds are varied each has its own images, and runs compare whose images are the same in every fold. A run
    that does not tell is taken for one of the first kind.
    """
    classes = next((each.classes for each in results if each.classes), ())
    of_folds: dict[str | None, list[str]] = {}
    kinds = []
    for each in results:
        seen = of_folds.setdefault(each.said.get("data.fold"), [])
        if each.validation and each.validation not in seen:
            seen.append(each.validation)
        kinds.append((each.task, each.classes or classes, seen.index(each.validation) if each.validation else 0))
    return kinds


def _remarks(kinds: Sequence[tuple[str, tuple[str, ...], int]], keys: Sequence[str]) -> list[str]:
    remarks = []
    if len(set(kinds)) > 1:
        names = ("their task", "their classes", "the images that they were validated on")
        differing = [name for name, values in zip(names, zip(*kinds, strict=True), strict=True) if len(set(values)) > 1]
        remarks.append(
            f"Scores compare within {len(set(kinds))} groups of runs alone, which differ in {' and '.join(differing)}: "
            f"each is ranked by itself."
        )
    if any(key.split(".")[0] in ("loss", "experiment") for key in keys):
        remarks.append(
            "val_objective is the loss that a run was trained on, so of several kinds here: compare val_loss, which is "
            "plain cross-entropy in all of them."
        )
    if "monitor" in keys:
        remarks.append("Runs chose their best epochs by several scores (monitor), and are ranked by one.")
    return remarks


def _varying(results: Sequence[Result]) -> list[str]:
    """The keys that were said to the runs and do not have one value for all of them."""
    by_words = sorted(
        results, key=lambda each: -len(each.said)
    )  # so that keys come in the order in which they were said
    keys = dict.fromkeys(key for each in by_words for key in each.said if key not in _NO_PARAMETERS)
    return [key for key in keys if len({each.said.get(key) for each in results}) > 1]
