"""The focal loss."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import NonNegative, Positive


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
    """

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        log_shares = logits.log_softmax(dim=1)
        # 1 - p can round to 0, where a power below 1 has no finite slope.
        missing = (-log_shares.expm1()).clamp(min=1e-7)
        return -(targets * weights * missing**gamma * log_shares).sum(dim=1)

    return Criterion(per_sample, weighing.class_weights(class_weights, labels, classes), takes_soft_targets=False)
