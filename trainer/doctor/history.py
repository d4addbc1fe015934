"""A run as the rules see it: plain figures, wherever they come from. What is not known is None, or empty.

`of_run.py` makes one of a run folder, `foreign.py` one of another tool's CSV. The rules (`rules/`) read nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.engine.vitals import Layer as Layer
from trainer.engine.vitals import Vitals as Vitals


@dataclass(frozen=True)
class Step:
    """One line of the steps: the means since the line before."""

    number: int
    """Steps taken, the first is 1."""
    epoch: int
    loss: float | None
    """As in training; None where it was no finite number."""
    score: float | None = None
    lr: float | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch's line. Scores are shares of 1."""

    number: int
    train_loss: float | None = None
    """As in training: with its augmentation, smoothing and mixing."""
    train_score: float | None = None
    val_loss: float | None = None
    """Plain cross-entropy."""
    val_objective: float | None = None
    """The training loss, on validation."""
    val_score: float | None = None
    lr: float | None = None
    seconds: float | None = None
    vitals: Vitals = field(default_factory=Vitals)


@dataclass(frozen=True)
class History:
    """All that is known of a run."""

    epochs: Sequence[Epoch]
    steps: Sequence[Step] = ()
    task: str = "single"
    classes: Sequence[str] = ()
    train_images: int | None = None
    val_images: int | None = None
    images_of_each: Sequence[int] = ()
    """Training images of each class."""
    steps_per_epoch: int | None = None
    epochs_planned: int | None = None
    status: str | None = None
    """finished, stopped, failed or diverged; None of another tool's."""
    error: str | None = None
    """What ended it early."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole config, as config.yaml has it; empty of another tool's."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """run.json: device, precision, normalisation and the like."""
    summary: Mapping[str, Any] = field(default_factory=dict)
