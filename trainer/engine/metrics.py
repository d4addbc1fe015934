"""Sums over samples that stay on the device, and the scores that are read from them now and then."""

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_SUMS = 4


@dataclass(frozen=True)
class Scores:
    """loss: mean over the samples, by their weights. accuracy: share in [0, 1] of the labelled samples."""

    loss: float
    accuracy: float


def zero_sums(device: torch.device) -> Tensor:
    """(NUM_SUMS,) zeros, in double precision where the device has it."""
    return torch.zeros(NUM_SUMS, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums_of(losses: Tensor, weights: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """(NUM_SUMS,): loss, weight, correct and labelled samples of one batch. Shapes (B,), (B,), (B, C), (B,)."""
    labelled = labels >= 0
    correct = (logits.argmax(1) == labels) & labelled
    return torch.stack([losses.sum(), weights.sum(), correct.sum(), labelled.sum()])


def scores_of(sums: Tensor, empty: float = 0.0) -> Scores:
    """Reads the sums from the device. empty: what a set without a single label scores."""
    loss, weight, correct, labelled = sums.tolist()
    return Scores(loss / weight if weight else empty, correct / labelled if labelled else empty)
