"""The absolute difference."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import Positive


@LOSSES.register
def l1(
    labels: Tensor,
    classes: Sequence[str],
    *,
    of: Literal["probabilities", "logits"] = "probabilities",
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
) -> Criterion:
    """Absolute difference to the one-hot label (L1): the loss that noisy labels disturb least, and slow to learn from.

    Summed over the classes, where torch's L1Loss takes the mean; of the probabilities it is 2 (1 - p) for the label's
    probability p (Ghosh et al. 2017, section 3.2). labels: (N,) of the training set. A sample's weight is that of its
    class. It takes no soft targets: over labels in some shares it is least, on average, at the commonest alone.
    """

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        outputs = logits.softmax(dim=1) if of == "probabilities" else logits
        return (outputs - targets).abs().sum(dim=1) * (targets * weights).sum(dim=1)

    return Criterion(per_sample, weighing.class_weights(class_weights, labels, classes), takes_soft_targets=False)
