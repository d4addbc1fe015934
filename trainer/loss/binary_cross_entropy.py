"""Binary cross-entropy: one yes-or-no question for each class."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion, PerSample
from trainer.registry import LOSSES
from trainer.schema import BelowOne, Positive
from trainer.task.multi import Multi


@LOSSES.register
def binary_cross_entropy(
    labels: Tensor,
    classes: Sequence[str],
    *,
    smoothing: BelowOne = 0.0,
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
) -> Criterion:
    """Binary cross-entropy: each class is asked for by itself, and no class has to win; good with mixed images.

    Of one label a picture, labels (N,): summed over the classes, on the sigmoid of the logits (Wightman et al. 2021,
    "ResNet strikes back", section 2.3, which takes the mean over the classes: the step would shrink with their number).
    smoothing: the share of the target that is spread over all classes. A sample's weight is that of its class.
    Of several, labels (N, C): the mean over the labels that are known, ln 2 before anything is learnt. smoothing: the
    share of each answer that is one half. A weight is that of the pictures with the label beside those without it.
    """
    weights = weighing.class_weights(class_weights, labels, classes)
    if labels.ndim == 2:
        return Criterion(_of_several(smoothing), weights, task=Multi())
    return Criterion(_of_one(smoothing), weights)


def _of_one(smoothing: float) -> PerSample:
    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        wanted = (1 - smoothing) * targets + smoothing / targets.shape[1]
        losses = -(wanted * logsigmoid(logits) + (1 - wanted) * logsigmoid(-logits)).sum(dim=1)
        return losses * (targets * weights).sum(dim=1)

    return per_sample


def _of_several(smoothing: float) -> PerSample:
    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        wanted = (1 - smoothing) * targets + smoothing / 2
        losses = -(weights * wanted * logsigmoid(logits) + (1 - wanted) * logsigmoid(-logits))
        return torch.where(targets >= 0, losses, 0.0).mean(dim=1)

    return per_sample
