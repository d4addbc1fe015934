"""Sums over samples that stay on the device, and the scores that are read from them now and then."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainer.loss.criterion import Criterion
from trainer.task.task import Task, Verdicts

NUM_SUMS = 4


@dataclass(frozen=True)
class Scores:
    """loss: mean over the samples, by their weights. score: the task's step_score, a share in [0, 1]."""

    loss: float
    score: float


@dataclass(frozen=True)
class Evaluation:
    """What a model comes to on images that it does not learn from."""

    loss: float
    """Mean cross-entropy of the labelled samples, in nats, whatever is trained on: so it compares any two runs.

    No smoothing and no weights; of the probabilities of a prediction. Of several labels a picture, of each label.
    """
    objective: float
    """What training makes small, its smoothing and weights included."""
    score: float
    """The task's, a share in [0, 1] of the labelled samples: accuracy, say."""
    images: int
    """Labelled samples."""
    verdicts: Verdicts | None = field(default=None, compare=False, repr=False)
    """Image by image."""


def zero_sums(device: torch.device) -> Tensor:
    """(NUM_SUMS,) zeros, in double precision where the device has it."""
    return torch.zeros(NUM_SUMS, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums_of(loss: Tensor, weight: Tensor, logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    """(NUM_SUMS,): the sums of losses and weights over one batch, and the two sums of the task's tally."""
    return torch.stack([loss, weight, *task.tally(logits, labels)])


def scores_of(sums: Tensor, empty: float = 0.0) -> Scores:
    """Reads the sums from the device. empty: what a set without a single label scores."""
    loss, weight, right, counted = sums.tolist()
    return Scores(loss / weight if weight else empty, right / counted if counted else empty)


class Evaluating:
    """Takes the answers batch by batch and never waits for the device; what they come to is read at the end."""

    def __init__(self, criterion: Criterion, device: torch.device) -> None:
        self._criterion, self._collector = criterion, criterion.task.collector()
        self._sums = zero_sums(device)
        self._surprise = torch.zeros_like(self._sums[:2])

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Shapes (B, C), and those of the task's labels."""
        task, targets = self._criterion.task, self._criterion.soft(labels)
        loss, weight = self._criterion.losses(logits, targets).sum(), self._criterion.weights(targets).sum()
        self._sums += sums_of(loss, weight, logits, labels, task)
        self._surprise += task.surprise(logits, labels, self._sums.dtype)
        self._collector.add(logits, labels)

    def read(self) -> Evaluation:
        """Without a single label all scores are 0."""
        scores, verdicts = scores_of(self._sums), self._collector.read()
        nats, counted = self._surprise.tolist()
        score = self._criterion.task.score_of(scores.score, verdicts)
        return Evaluation(nats / counted if counted else 0.0, scores.loss, score, verdicts.images, verdicts)


def same_loss(loss: float | None, objective: float | None) -> bool:
    """Whether what is trained on is plain cross-entropy, as far as two numbers tell: they are summed otherwise."""
    return loss is not None and objective is not None and math.isclose(loss, objective, rel_tol=1e-4, abs_tol=1e-4)
