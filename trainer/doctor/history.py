"""A run as the rules see it: plain figures, wherever they come from. What is not known is None, or empty.

`of_run.py` makes one of a run folder, `foreign.py` one of another tool's CSV. The rules (`rules/`) read nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
class Layer:
    """What a layer's activations are on the fixed batch."""

    name: str
    mean: float
    std: float
    dead: float
    """Share of its units that are zero for every picture of the batch (of a layer with ReLU or the like; else 0)."""


@dataclass(frozen=True)
class Vitals:
    """What is measured at the end of an epoch, beside its scores."""

    gradient_norm: float | None = None
    """Of the epoch's last step, before clipping."""
    updates: Mapping[str, float] = field(default_factory=dict)
    """Per stage: the norm of the last step's change of the weights, divided by the norm of the weights."""
    layers: Sequence[Layer] = ()
    recall: Sequence[float | None] = ()
    """Per class in validation; None for a class without images there."""
    commonest: float | None = None
    """Share of the validation images that are given the answer that is given most."""
    waited: float | None = None
    """Share of the epoch's training time in which the model waited for pictures."""


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
    vitals: Vitals = Vitals()


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
