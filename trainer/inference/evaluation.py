"""Runs scored on labelled pictures, one by one and together."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.engine.device import choose_device, make_repeatable
from trainer.errors import ConfigError, some
from trainer.feed.pack import Progress
from trainer.inference.answering import answering_of
from trainer.inference.answers import answers
from trainer.inference.ensemble import ensemble
from trainer.inference.judges import Judge, judge_of
from trainer.inference.labelled import Labelled, Split, are_the_same, labelled
from trainer.inference.saved import SavedRun
from trainer.inference.scored import Scored
from trainer.inference.temperature import read_temperature
from trainer.inference.tta import prepared_size
from trainer.schema import Tta
from trainer.size import Size


def evaluate_runs(
    runs: Sequence[SavedRun],
    words: Sequence[str],
    split: Split | None,
    tta: Tta,
    device: str | None,
    progress: Progress,
    threshold: float | None = None,
) -> Scored[Any]:
    """The scores of a run, or of several and of the mean of their probabilities, on the pictures that the words name.

    device: None is that of the first run's config, where this machine has it. threshold: from which on all labels are
    answered where a picture may have several; None: each from the runs' own. Raises ConfigError, DataError or
    CheckpointError in one line before anything is computed, if members know other classes or would see other images.
    """
    _check_tasks(runs)
    judge = judge_of(runs[0].task)
    if threshold is not None and judge.NO_THRESHOLD:
        raise ConfigError(f"threshold: {judge.NO_THRESHOLD}. Leave it out.")
    together = ensemble([(str(run.path), run.classes) for run in runs])
    sets = [labelled(run, words, split, _size(run, tta)) for run in runs]
    _check_same(runs, sets, judge)
    chosen = _device(runs[0], device)
    make_repeatable(chosen)
    each = [answers(run, pictures, chosen, tta, progress) for run, pictures in zip(runs, sets, strict=True)]

    first = sets[0]
    labels = first.match.labels(first.labels.numpy())
    several = len(runs) > 1
    probabilities = together.mean([found.probabilities for found in each]) if several else each[0].probabilities
    found_here = temperature = None
    if not several:
        is_validation = first.is_own and "val" in first.parts and tta == "none"
        found_here = judge.fitted(runs[0], probabilities, labels) if is_validation and (labels >= 0).any() else None
        temperature = found_here or read_temperature(runs[0])
    members = [
        judge.evaluation(
            [run], found.probabilities, pictures.match.labels(pictures.labels.numpy()), found.loss, None, threshold
        )
        for run, pictures, found in zip(runs, sets, each, strict=True)
        if several
    ]
    loss, divisor = None if several else each[0].loss, temperature.temperature if temperature else None
    whole = judge.evaluation(runs, probabilities, labels, loss, divisor, threshold)
    notes = [note for pictures, found in zip(sets, each, strict=True) for note in (*pictures.notes, found.note)]
    notes += [answering_of(run, threshold).note for run in runs]
    return Scored(
        runs=tuple(runs),
        pictures=first,
        tta=tta,
        engine=", ".join(dict.fromkeys(found.engine for found in each)),
        probabilities=probabilities,
        labels=labels,
        evaluation=whole,
        members=tuple(members),
        fitted=found_here,
        notes=tuple(dict.fromkeys(filter(None, notes))),
        objective=None if several else each[0].objective,
        threshold=threshold,
    )


def _size(run: SavedRun, tta: Tta) -> Size | None:
    size = run.preprocessing.prepared_size
    return None if prepared_size(size, tta) == size else prepared_size(size, tta)


def _check_tasks(runs: Sequence[SavedRun]) -> None:
    """Raises ConfigError with the runs whose labels are not those of the first."""
    first = runs[0]
    if others := [f"{run.path} (task={run.task.name})" for run in runs if run.task.name != first.task.name]:
        raise ConfigError(
            f"{some(others)} cannot be in an ensemble with {first.path} (task={first.task.name}): members learn the "
            f"same task. Leave it out."
        )


def _check_same(runs: Sequence[SavedRun], sets: Sequence[Labelled], judge: Judge) -> None:
    """Raises ConfigError where a run's own part is not that of the first: it may have been trained on those images."""
    others = [
        str(run.path)
        for run, pictures in zip(runs, sets, strict=True)
        if not are_the_same(sets[0], pictures, judge.labels_in_words)
    ]
    if others:
        raise ConfigError(
            f"{some(others)}: the images of split={sets[0].name} are not those of {runs[0].path}. Score them on a part "
            f"that they share, split=test perhaps, or on other pictures: data.root=FOLDER."
        )


def _device(run: SavedRun, wanted: str | None) -> torch.device:
    """The device that is wanted, or that of the run's config; any other where this machine lacks that one."""
    if wanted is not None:
        return choose_device(wanted)
    try:
        return choose_device(run.config([]).settings.device)
    except ConfigError:  # the run comes from another machine; what computes here is told
        return choose_device("auto")
