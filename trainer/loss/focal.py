"""The focal loss."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion, PerSample
from trainer.registry import LOSSES
from trainer.schema import NonNegative, Positive
from trainer.task.multi import Multi


@LOSSES.register
def focal(
    labels: Tensor,
    classes: Sequence[str],
    *,
    gamma: NonNegative = 2.0,
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
) -> Criterion:
    """Focal loss: cross-entropy that counts less what is already right, for rare or hard classes.

    The loss of a class with probability p is -(1 - p)^gamma log p (Lin et al. 2017, section 3.2, over a softmax; the
    paper's alpha is class_weights). gamma 0 is cross-entropy. labels: (N,) of the training set. It takes no soft
    targets: what it plays down is what is already right, and of a mixture nothing is.
    Of several labels a picture, (N, C), it is the paper's own, over sigmoids: p is the probability of what is right,
    with the label or without it. gamma 0 is binary cross-entropy, with its mean and its weights.
    """
    weights = weighing.class_weights(class_weights, labels, classes)
    if labels.ndim == 2:
        return Criterion(_of_several(gamma), weights, takes_soft_targets=False, task=Multi())
    return Criterion(_of_one(gamma), weights, takes_soft_targets=False)


def _of_one(gamma: float) -> PerSample:
    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        log_shares = logits.log_softmax(dim=1)
        # 1 - p can round to 0, where a power below 1 has no finite slope.
        missing = (-log_shares.expm1()).clamp(min=1e-7)
        return -(targets * weights * missing**gamma * log_shares).sum(dim=1)

    return per_sample


def _of_several(gamma: float) -> PerSample:
    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        yes, no = logsigmoid(logits), logsigmoid(-logits)
        missing_yes, missing_no = ((-each.expm1()).clamp(min=1e-7) for each in (yes, no))
        losses = -(weights * targets * missing_yes**gamma * yes + (1 - targets) * missing_no**gamma * no)
        return torch.where(targets >= 0, losses, 0.0).mean(dim=1)

    return per_sample
