"""Binary cross-entropy: one yes-or-no question for each class."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import BelowOne, Positive


@LOSSES.register
def binary_cross_entropy(
    labels: Tensor,
    classes: Sequence[str],
    *,
    smoothing: BelowOne = 0.0,
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
) -> Criterion:
    """Binary cross-entropy: each class is asked for by itself, and no class has to win; good with mixed images.

    Summed over the classes, on the sigmoid of the logits (Wightman et al. 2021, "ResNet strikes back", section 2.3,
    which takes the mean over the classes: the step would shrink with their number). labels: (N,) of the training set.
    smoothing: the share of the target that is spread over all classes. A sample's weight is that of its class.
    """

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        wanted = (1 - smoothing) * targets + smoothing / targets.shape[1]
        losses = -(wanted * logsigmoid(logits) + (1 - wanted) * logsigmoid(-logits)).sum(dim=1)
        return losses * (targets * weights).sum(dim=1)

    return Criterion(per_sample, weighing.class_weights(class_weights, labels, classes))
