"""Runs scored on labelled pictures, one by one and together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.engine.device import choose_device, make_repeatable
from trainer.errors import ConfigError, some
from trainer.feed.pack import Progress
from trainer.inference.answers import answers
from trainer.inference.ensemble import ensemble
from trainer.inference.labelled import Labelled, Split, are_the_same, labelled
from trainer.inference.mistakes import Doubt, Ranked, doubtful_labels, highest_losses, surest_mistakes
from trainer.inference.saved import SavedRun
from trainer.inference.scoring import Evaluation, losses_of, score
from trainer.inference.temperature import Temperature, fitted, read_temperature
from trainer.inference.tta import prepared_size
from trainer.schema import Tta
from trainer.size import Size

MOST_SHOWN = 24
"""Images of each kind that are worth a look: a page of them."""
_TRUSTED = 0.5
"""How far a model that may doubt labels stands between chance and perfection: below, the mistakes are its own."""


@dataclass(frozen=True)
class Scored:
    """Some pictures with what was answered, and what that is worth."""

    runs: tuple[SavedRun, ...]
    pictures: Labelled
    """As the first run sees them."""
    tta: Tta
    engine: str
    probabilities: NDArray[np.float64]
    """(N, C), in the order of the first run's classes; of several runs the mean."""
    labels: NDArray[np.int64]
    """(N,) among the first run's classes; -1 where there is none that it knows."""
    evaluation: Evaluation
    members: tuple[Evaluation, ...]
    """Of each run by itself, where there are several."""
    fitted: Temperature | None
    """The temperature found on these pictures, where they are the validation part of one run."""
    notes: tuple[str, ...]
    objective: float | None = None
    """What the training of one run made small, on these pictures; None where it cannot be worked out."""

    @property
    def mistakes(self) -> Ranked:
        """Sure and wrong, with the probability of the answer."""
        return surest_mistakes(self.probabilities, self.labels, MOST_SHOWN)

    @property
    def losses(self) -> Ranked:
        """The highest negative log-likelihoods, right or wrong."""
        return highest_losses(losses_of(self.probabilities, self.labels), self.labels, MOST_SHOWN)

    @property
    def cannot_doubt(self) -> str:
        """Why no label can be called wrong, in words; empty where one can."""
        if self.pictures.is_own and "train" in self.pictures.parts:
            return "the model has learnt these very labels: say split=val or split=test"
        chance = 1 / len(self.evaluation.classes)
        if (self.evaluation.accuracy - chance) / (1 - chance) < _TRUSTED:
            return f"the model is right too seldom, in {self.evaluation.accuracy:.0%}"
        return ""

    @property
    def doubts(self) -> list[Doubt]:
        """The labels that are probably wrong; none is looked for where none can be called so."""
        return [] if self.cannot_doubt else doubtful_labels(self.probabilities, self.labels)

    @property
    def unknown(self) -> dict[str, int]:
        """Images of each class that the run does not know: they are left out of the scores."""
        classes, match = self.pictures.source.classes, self.pictures.match
        counts = Counter(self.pictures.labels.tolist())
        return {classes[place]: counts[place] for place, known in enumerate(match.places.tolist()) if known < 0}


def evaluate_runs(
    runs: Sequence[SavedRun],
    words: Sequence[str],
    split: Split | None,
    tta: Tta,
    device: str | None,
    progress: Progress,
) -> Scored:
    """The scores of a run, or of several and of the mean of their probabilities, on the pictures that the words name.

    device: None is that of the first run's config, where this machine has it. Raises ConfigError, DataError or
    CheckpointError in one line before anything is computed, if members know other classes or would see other images.
    """
    together = ensemble([(str(run.path), run.classes) for run in runs])
    sets = [labelled(run, words, split, _size(run, tta)) for run in runs]
    _check_same(runs, sets)
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
        found_here = fitted(runs[0], probabilities, labels) if is_validation and (labels >= 0).any() else None
        temperature = found_here or read_temperature(runs[0])
    members = [
        score(found.probabilities, pictures.match.labels(pictures.labels.numpy()), run.classes, loss=found.loss)
        for run, pictures, found in zip(runs, sets, each, strict=True)
    ]
    whole = score(
        probabilities,
        labels,
        runs[0].classes,
        loss=None if several else each[0].loss,
        temperature=temperature.temperature if temperature else None,
    )
    notes = [note for pictures, found in zip(sets, each, strict=True) for note in (*pictures.notes, found.note)]
    return Scored(
        runs=tuple(runs),
        pictures=first,
        tta=tta,
        engine=", ".join(dict.fromkeys(found.engine for found in each)),
        probabilities=probabilities,
        labels=labels,
        evaluation=whole,
        members=tuple(members) if several else (),
        fitted=found_here,
        notes=tuple(dict.fromkeys(filter(None, notes))),
        objective=None if several else each[0].objective,
    )


def _size(run: SavedRun, tta: Tta) -> Size | None:
    size = run.preprocessing.prepared_size
    return None if prepared_size(size, tta) == size else prepared_size(size, tta)


def _check_same(runs: Sequence[SavedRun], sets: Sequence[Labelled]) -> None:
    """Raises ConfigError where a run's own part is not that of the first: it may have been trained on those images."""
    others = [str(run.path) for run, pictures in zip(runs, sets, strict=True) if not are_the_same(sets[0], pictures)]
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
