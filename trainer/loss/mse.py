"""The squared difference."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import Positive


@LOSSES.register
def mse(
    labels: Tensor,
    classes: Sequence[str],
    *,
    of: Literal["probabilities", "logits"] = "probabilities",
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
) -> Criterion:
    """Squared difference to the one-hot label (L2, mean squared error): bounded, so one wrong label cannot do much.

    Summed over the classes, where torch's MSELoss takes the mean: the step would shrink with their number. Of the
    softmax's probabilities it is the Brier score (1950); of the logits it is the square loss of Hui and Belkin 2020,
    which does not saturate. labels: (N,) of the training set. A sample's weight is that of its class.
    """

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        outputs = logits.softmax(dim=1) if of == "probabilities" else logits
        return (outputs - targets).square().sum(dim=1) * (targets * weights).sum(dim=1)

    return Criterion(per_sample, weighing.class_weights(class_weights, labels, classes))
