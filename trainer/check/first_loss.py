"""The loss before the first step, beside that of answering all classes alike."""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer import rng
from trainer.build.training import Job
from trainer.check.layers import not_finite
from trainer.doctor.finding import Finding, Severity
from trainer.engine.metrics import zero_sums
from trainer.feed.batches import Batch

_ABOVE, _FAR_ABOVE = 1.5, 3.0
"""Times the loss of answering all classes alike that the first loss may be."""


@dataclass(frozen=True)
class FirstLoss:
    """Of some training images, before the first step: means, as in training."""

    loss: float
    alike: float
    """The same loss, where all classes are answered alike."""
    nats: float
    """Plain cross-entropy."""
    nats_alike: float
    """The same, where all classes are answered alike: ln(classes), or of several labels ln 2."""


@torch.no_grad()
def measured(job: Job, batch: Batch) -> FirstLoss:
    """Of the model as it enters the first step: batch norm with the batch's statistics, unless it is frozen."""
    copy, recipe = deepcopy(job.state.model), job.recipe
    recipe.begin_epoch(copy, 0)
    torch.manual_seed(rng.seed_of(recipe.seed, 0, "layers"))
    with recipe.precision.autocast():
        logits = copy(batch.images)
    losses = [_loss(job, each, batch.labels) for each in (logits, torch.zeros_like(logits))]
    nats = [_nats(job, each, batch.labels) for each in (logits, torch.zeros_like(logits))]
    return FirstLoss(*losses, *nats)


def of_first_loss(found: FirstLoss, *, trained: bool) -> Iterator[Finding]:
    """X2: near ln(classes). trained: whether weights were loaded."""
    if not math.isfinite(found.loss + found.nats):
        yield not_finite(f"the first loss is {found.loss:g}")
        return
    if found.nats <= _ABOVE * found.nats_alike:
        return
    evidence = (
        f"cross-entropy {found.nats:.3g} before the first step, {found.nats_alike:.3g} if all were answered alike"
    )
    severity: Severity = "fault" if found.nats > _FAR_ABOVE * found.nats_alike else "warning"
    what = "The first loss is far above that of answering all classes alike: the first steps only undo that."
    advice = "Start the last layer small, and look at the scale of the images (python -m trainer preview)."
    if trained:
        advice = (
            "What the weights answer does not fit: other classes, other statistics of the images, or another order."
        )
    words = "model.head_init=zero" if trained else ""
    yield Finding("first_loss", severity, what, evidence, 0.9, words, advice, practice="X2")


def in_words(found: FirstLoss) -> str:
    """One line."""
    return f"first loss: {found.loss:.3g}; {found.alike:.3g} if all classes were answered alike"


def _loss(job: Job, logits: Tensor, labels: Tensor) -> float:
    criterion = job.recipe.criterion
    return float(criterion.losses(logits, labels).sum() / criterion.weights(labels).sum())


def _nats(job: Job, logits: Tensor, labels: Tensor) -> float:
    nats, counted = job.recipe.criterion.task.surprise(logits, labels, zero_sums(labels.device).dtype).tolist()
    return float(nats / counted) if counted else 0.0
