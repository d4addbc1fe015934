"""Losses of several labels a picture, against loops over samples and labels in double precision."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainer.aug.mixing import blend
from trainer.loss.binary_cross_entropy import binary_cross_entropy
from trainer.loss.criterion import Criterion, reduce
from trainer.loss.focal import focal
from trainer.task.multi import Multi

CLASSES = ["a", "b", "c"]


def labels_of(seed: int, count: int = 7) -> Tensor:
    return torch.randint(-1, 2, (count, 3), generator=torch.Generator().manual_seed(seed)).to(torch.int8)


def logits_of(seed: int, count: int = 7) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 + seed)) * 3


def reduced(criterion: Criterion, logits: Tensor, targets: Tensor) -> float:
    return float(reduce(criterion.losses(logits, targets).sum(), criterion.weights(targets).double().sum()))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def mean_over_known(
    loss: Callable[[float, float, float], float], logits: Tensor, targets: Tensor, weights: list[float]
) -> float:
    """loss: of the probability, the target and the weight."""
    total, known = 0.0, 0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        for logit, target, weight in zip(row, wanted, weights, strict=True):
            if target >= 0:
                total += loss(sigmoid(logit), target, weight)
                known += 1
    return total / known if known else 0.0


@given(st.integers(0, 10_000), st.floats(0, 0.9), st.sampled_from(["none", "balanced", "effective"]))
def test_binary_cross_entropy_is_the_mean_over_what_is_known(seed: int, smoothing: float, choice: Any) -> None:
    training, labels, logits = labels_of(seed + 1, 20), labels_of(seed), logits_of(seed)

    def loss(probability: float, target: float, weight: float) -> float:
        wanted = (1 - smoothing) * target + smoothing / 2
        return -(weight * wanted * math.log(probability) + (1 - wanted) * math.log(1 - probability))

    criterion = binary_cross_entropy(training, CLASSES, smoothing=smoothing, class_weights=choice)
    weights = positive_weights(training, choice)
    assert reduced(criterion, logits, labels) == pytest.approx(mean_over_known(loss, logits, labels, weights), rel=1e-5)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 2.0]))
def test_focal_is_the_papers_own_over_sigmoids(seed: int, gamma: float) -> None:
    labels, logits = labels_of(seed), logits_of(seed)

    def loss(probability: float, target: float, weight: float) -> float:
        right = probability if target else 1 - probability
        return -((1 - right) ** gamma) * math.log(right)

    criterion = focal(labels, CLASSES, gamma=gamma)
    assert reduced(criterion, logits, labels) == pytest.approx(
        mean_over_known(loss, logits, labels, [1.0] * 3), rel=1e-4, abs=1e-6
    )


def positive_weights(labels: Tensor, choice: str) -> list[float]:
    found = []
    for column in labels.T.tolist():
        having, lacking = float(column.count(1)), float(column.count(0))
        if choice == "effective":
            having, lacking = 1 - 0.999**having, 1 - 0.999**lacking
        found.append(lacking / having if choice != "none" and having and lacking else 1.0)
    return found


@pytest.mark.parametrize("loss", [binary_cross_entropy, focal])
def test_the_first_loss_is_that_of_a_coin(loss: Any) -> None:
    labels = labels_of(3, 50)
    found = reduced(loss(labels, CLASSES), torch.zeros(50, 3), labels)
    assert found == pytest.approx(math.log(2) * (1 if loss is binary_cross_entropy else 0.25))


def test_batches_of_a_step_make_the_loss_of_one_large_batch_whatever_is_unknown() -> None:
    labels, logits = labels_of(5, 30), logits_of(5, 30)
    criterion = binary_cross_entropy(labels, CLASSES)
    weight = criterion.weights(labels).sum()
    parts = [
        reduce(criterion.losses(logits[rows], labels[rows]).sum(), weight)
        for rows in torch.arange(30).split([3, 20, 7])
    ]
    assert float(sum(parts)) == pytest.approx(reduced(criterion, logits, labels))


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0]))
def test_mixed_labels_are_shares_and_what_is_unknown_of_either_is_unknown(seed: int, share: float) -> None:
    task, labels = Multi(), labels_of(seed, 5)
    partner = torch.arange(5).roll(1)
    images, keep = torch.zeros(5, 1, 2, 2), torch.full((5, 1, 1, 1), share)
    _, mixed = blend(images, task.targets(labels, 3), keep, partner, task)
    for row in range(5):
        for label in range(3):
            own, theirs = int(labels[row, label]), int(labels[partner[row], label])
            unknown = own < 0 or (theirs < 0 and share < 1)
            wanted = -1.0 if unknown else share * own + (1 - share) * theirs
            assert float(mixed[row, label]) == pytest.approx(wanted)
