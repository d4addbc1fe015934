"""Sums over samples that stay on the device, and the scores that are read from them now and then."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.engine.verdicts import Verdicts

NUM_SUMS = 4


@dataclass(frozen=True)
class Scores:
    """loss: mean over the samples, by their weights. accuracy: share in [0, 1] of the labelled samples."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """What a model comes to on images that it does not learn from."""

    loss: float
    """Mean cross-entropy of the labelled samples, in nats, whatever is trained on: so it compares any two runs.

    No smoothing and no weights; of the softmax of the logits as they are, which are the probabilities of a prediction.
    """
    objective: float
    """What training makes small, its smoothing and weights included."""
    accuracy: float
    """Share in [0, 1] of the labelled samples."""
    images: int
    """Labelled samples."""
    verdicts: Verdicts | None = field(default=None, compare=False, repr=False)
    """Image by image."""


def zero_sums(device: torch.device) -> Tensor:
    """(NUM_SUMS,) zeros, in double precision where the device has it."""
    return torch.zeros(NUM_SUMS, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums_of(losses: Tensor, weights: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """(NUM_SUMS,): loss, weight, correct and labelled samples of one batch. Shapes (B,), (B,), (B, C), (B,)."""
    labelled = labels >= 0
    correct = (logits.argmax(1) == labels) & labelled
    return torch.stack([losses.sum(), weights.sum(), correct.sum(), labelled.sum()])


def surprise(logits: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
    """The sum of the labelled samples' cross-entropy, worked out in this type. Shapes (B, C), (B,)."""
    return cross_entropy(logits.to(dtype), labels, ignore_index=-1, reduction="sum")


def scores_of(sums: Tensor, empty: float = 0.0) -> Scores:
    """Reads the sums from the device. empty: what a set without a single label scores."""
    loss, weight, correct, labelled = sums.tolist()
    return Scores(loss / weight if weight else empty, correct / labelled if labelled else empty)


def evaluation_of(sums: Tensor, surprises: Tensor, verdicts: Verdicts | None = None) -> Evaluation:
    """Reads the sums, and that of the cross-entropies, from the device. Without a single label all scores are 0."""
    scores, images = scores_of(sums), int(sums[3])
    return Evaluation(float(surprises) / images if images else 0.0, scores.loss, scores.accuracy, images, verdicts)


def same_loss(loss: float | None, objective: float | None) -> bool:
    """Whether what is trained on is plain cross-entropy, as far as two numbers tell: they are summed otherwise."""
    return loss is not None and objective is not None and math.isclose(loss, objective, rel_tol=1e-4, abs_tol=1e-4)
