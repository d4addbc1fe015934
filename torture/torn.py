"""A loss that is sometimes not a number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.loss.criterion import Criterion
from trainer.registry import LOSSES
from trainer.schema import Share


@LOSSES.register
def torn(labels: Tensor, classes: Sequence[str], *, share: Share = 0.01) -> Criterion:
    """Cross-entropy that is NaN in that share of the training batches: which ones, the bits of their logits tell."""

    def per_sample(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        losses = -(targets * weights * logits.log_softmax(dim=1)).sum(dim=1)
        bits = logits.detach().contiguous().view(torch.int32).sum()
        return torch.where((bits % round(1 / share) == 0) & logits.requires_grad, torch.nan, losses)

    return Criterion(per_sample, torch.ones(len(classes)))
