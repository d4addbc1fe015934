"""Runs side by side: what differs in their settings, what came out, and whether that is more than luck."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.engine.checkpoint import Checkpoints
from trainer.errors import CheckpointError, ConfigError
from trainer.inference.comparison import Difference, differences, disagreements
from trainer.inference.judges import Judge, judge_of
from trainer.inference.spreadsheet import unescaped
from trainer.records.folder import read_json
from trainer.report.page.facts import RunFacts
from trainer.report.page.scores import Scores
from trainer.report.page.settings import differing
from trainer.task.task import Task


@dataclass(frozen=True)
class Disagreement:
    """An image to which the runs give several answers."""

    path: str
    label: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """Runs side by side."""

    task: Task
    """What a label is, to all of them."""
    names: tuple[str, ...]
    facts: tuple[RunFacts, ...]
    settings: Sequence[tuple[str, ...]]
    """(key, its value in each run) where they differ."""
    part: str
    """The images that all of them answered; empty where there are none."""
    images: int
    scores: tuple[Scores | None, ...]
    """Of each run on that part, or what it tells first where there is none."""
    differences: Sequence[Difference]
    disagreements: Sequence[Disagreement]
    missing: Sequence[str]
    """What could not be told, and what to do about it."""

    @property
    def judge(self) -> Judge:
        """What tells how they are compared."""
        return judge_of(self.task)


Answered = Mapping[str, tuple[str, str]]
"""path -> (label, answer) of every image with a label."""


def compared(facts: Sequence[RunFacts], names: Sequence[str] = ()) -> Compared:
    """Two runs or more, from what they and their evaluations have left. Raises ConfigError if their tasks differ.

    names: what they are called, if not by their folders.
    """
    names = tuple(names) or _names(facts)
    task = _task(facts, names)
    judge = judge_of(task)
    part, answered = _answered(facts, judge)
    shared = [path for path in answered[0] if _is_shared(path, answered)] if answered else []
    missing = []
    if not shared:
        part = ""
        missing.append(
            "Whether the scores differ by more than luck is not known: these runs have not answered the same images. "
            "Evaluate each on the same: python -m trainer evaluate RUN split=test, or data.root=FOLDER."
        )
    elif len(shared) < max(map(len, answered)):
        missing.append(f"Compared on the {len(shared):,} images that all of them answered, and on no others.")
    labels = [answered[0][path][0] for path in shared]
    said = {name: [each[path][1] for path in shared] for name, each in zip(names, answered, strict=False)}
    return Compared(
        task,
        names,
        tuple(facts),
        differing([each.config for each in facts]),
        part,
        len(shared),
        tuple(_scores(each, part) for each in facts),
        _differences(said, labels, judge.RIGHT) if shared else [],
        _disagreements(shared, labels, said) if shared else [],
        missing,
    )


def _names(facts: Sequence[RunFacts]) -> tuple[str, ...]:
    """Their folders' names, with what was said to each alone in a multirun; whole paths where names are the same."""
    names = [each.name for each in facts]
    if max(Counter(names).values()) > 1:
        return tuple(str(each.folder.path) for each in facts)
    said = [[str(word) for word in each.summary.get("overrides") or ()] for each in facts]
    own = [" ".join(word for word in words if not all(word in each for each in said)) for words in said]
    return tuple(f"{name} ({words})" if words else name for name, words in zip(names, own, strict=True))


def _task(facts: Sequence[RunFacts], names: Sequence[str]) -> Task:
    """The one that all runs have. Raises ConfigError if there are several."""
    tasks = [each.wording.TASK for each in facts]
    if len({task.name for task in tasks}) > 1:
        told = ", ".join(f"{name} has task={task.name}" for name, task in zip(names, tasks, strict=True))
        raise ConfigError(f"compare: {told}. Runs of one task are compared, for another task has other scores.")
    return tasks[0]


def _scores(facts: RunFacts, part: str) -> Scores | None:
    wanted = [scores for scores in facts.scores if scores.pictures == part] or facts.scores
    return wanted[0] if wanted else None


def _is_shared(path: str, answered: Sequence[Answered]) -> bool:
    """Whether all have answered this image, and know it under the same label."""
    label = answered[0][path][0]
    return bool(label) and all(path in each and each[path][0] == label for each in answered)


def _answered(facts: Sequence[RunFacts], judge: Judge) -> tuple[str, list[Answered]]:
    """What the runs answered on a part that all were evaluated on, or else in validation, where that was the same."""
    for scores in facts[0].scores:
        of_part = [_predictions(each, scores.pictures, judge) for each in facts]
        if all(of_part):
            return scores.pictures, [each for each in of_part if each]
    validated = {each.about.get("validation_fingerprint") for each in facts}
    if len(validated) == 1 and None not in validated:
        kept = [_validated(each, judge) for each in facts]
        if all(kept):
            return "validation", [each for each in kept if each]
    return "", []


def _predictions(facts: RunFacts, pictures: str, judge: Judge) -> Answered | None:
    """What predictions.csv of these pictures tells; columns are known by their place."""
    folders = [scores.folder for scores in facts.scores if scores.pictures == pictures and scores.folder]
    path = folders[0] / "predictions.csv" if folders else None
    if path is None or not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = [[unescaped(cell) for cell in row] for row in csv.reader(file)]
    return judge.answered(rows, read_json(folders[0] / "evaluation.json")) if rows else None


def _validated(facts: RunFacts, judge: Judge) -> Answered | None:
    """What the best weights answered in validation, image by image."""
    checkpoints = Checkpoints(facts.folder.checkpoints)
    try:
        saved = checkpoints.load_best() if checkpoints.has_best else {}
    except CheckpointError:
        return None
    pairs = judge.validated(saved, facts.config, facts.classes)
    if pairs is None:
        return None
    return {f"validation image {place}": pair for place, pair in enumerate(pairs, start=1)}


def _differences(said: Mapping[str, Sequence[str]], labels: Sequence[str], what: str) -> list[Difference]:
    right: dict[str, NDArray[np.bool_]] = {
        name: np.array([answer == label for answer, label in zip(answers, labels, strict=True)])
        for name, answers in said.items()
    }
    return differences(right, what)


def _disagreements(
    paths: Sequence[str], labels: Sequence[str], said: Mapping[str, Sequence[str]]
) -> list[Disagreement]:
    """Those on which the fewest runs are right first."""
    number = {answer: place for place, answer in enumerate({each for answers in said.values() for each in answers})}
    codes: dict[str, Any] = {name: np.array([number[answer] for answer in answers]) for name, answers in said.items()}
    found = [
        Disagreement(paths[place], labels[place], tuple(answers[place] for answers in said.values()))
        for place in disagreements(codes).tolist()
    ]
    return sorted(found, key=lambda each: sum(answer == each.label for answer in each.answers))
