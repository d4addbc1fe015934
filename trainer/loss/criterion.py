"""What every loss part returns, and the one place where losses are weighted and reduced."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer.task.single import SINGLE
from trainer.task.task import Task

PerSample = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (B, C), targets (B, C), class weights (C,)) -> losses (B,). Targets of one label sum to one, or to zero where
it is ignored; of several each is 0 to 1, or -1 where it is unknown."""


@dataclass(frozen=True)
class Criterion:
    """Losses and weights of single samples; the loss of a step is the sum of the one over the sum of the other.

    Both sums run over the whole optimizer step, however many micro-batches it is made of, so that accumulation gives
    exactly the big batch's loss. Targets are labels, or soft labels (B, C), as the task has them; of one label a
    picture (B,), -1 for ignored, or a row of zeros: an ignored sample has loss 0 and weight 0. Labels that are no
    class are for the data room to refuse.
    """

    per_sample: PerSample
    class_weights: Tensor
    """(C,) float32: how much a sample of each class counts; ones where all count the same."""
    logit_weights: Tensor | None = None
    """(C,) float32: factors of the logits, in the loss only; None where they stay as they are."""
    takes_soft_targets: bool = True
    """Whether the loss of a mixture of labels is least at that mixture of predictions, so that mixing images is sound.

    So it is for a proper scoring rule (Gneiting and Raftery 2007, section 2): cross-entropy, or a squared difference.
    """

    task: Task = SINGLE
    """What a label is."""

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(B,), class weights included; in float32 at least, whatever the logits' type."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.logit_weights is not None:
            logits = logits * self.logit_weights
        return self.per_sample(logits, self.soft(targets).to(logits.dtype), self.class_weights.to(logits.dtype))

    def weights(self, targets: Tensor) -> Tensor:
        """(B,) float32, as the task has them: the weight of the label's class, say."""
        return self.task.weights(self.soft(targets), self.class_weights)

    def soft(self, targets: Tensor) -> Tensor:
        """(B, C) float32, of labels or of what is that already: made once, they serve losses and weights."""
        return self.task.targets(targets, len(self.class_weights))

    def to(self, device: torch.device) -> "Criterion":
        """The same on another device."""
        logit_weights = None if self.logit_weights is None else self.logit_weights.to(device)
        return replace(self, class_weights=self.class_weights.to(device), logit_weights=logit_weights)


def reduce(total_loss: Tensor, total_weight: Tensor) -> Tensor:
    """The loss to differentiate: the sum of losses, of a step whose weights come to total_weight; 0 where that is 0."""
    return total_loss / (total_weight + (total_weight == 0))
