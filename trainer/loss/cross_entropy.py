"""Cross-entropy on logits."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from trainer.loss import class_weights as weighing
from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import BelowOne, Positive


@LOSSES.register
def cross_entropy(
    labels: Tensor,
    classes: Sequence[str],
    *,
    smoothing: BelowOne = 0.0,
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none",
    logit_weights: dict[str, Positive] | None = None,
) -> Criterion:
    """Cross-entropy, with label smoothing and class weights: the standard loss of classification.

    labels: (N,) of the training set, from which class weights may be worked out. smoothing: the share of the target
    that is spread over all classes (Szegedy et al. 2016, section 7). Reduced, it equals torch.nn.CrossEntropyLoss.
    logit_weights: class name -> factor of its logit in the loss, 1 for the others; the slope at that logit grows by the
    same factor. Predictions are made of the logits as they are.
    """

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        if smoothing:
            spread = smoothing / targets.shape[1] * targets.sum(dim=1, keepdim=True)  # nothing where a row is ignored
            targets = (1 - smoothing) * targets + spread
        return -(targets * weights * logits.log_softmax(dim=1)).sum(dim=1)

    weights = weighing.class_weights(class_weights, labels, classes)
    if logit_weights is None:
        return Criterion(per_sample, weights)
    return Criterion(per_sample, weights, weighing.class_weights(logit_weights, labels, classes, "logit_weights"))
