"""What a model answers to batches, and how good that is."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from trainer.engine.batch import Batch
from trainer.engine.device import ahead
from trainer.engine.metrics import Evaluating, Evaluation
from trainer.engine.precision import Precision
from trainer.loss.criterion import Criterion


@torch.no_grad()
def answered(model: nn.Module, batches: Iterable[Batch], precision: Precision) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch with the model's logits for it, (B, classes), in evaluation mode."""
    model.eval()
    for batch in ahead(batches, next(model.parameters()).device):
        with precision.autocast():
            logits = model(batch.images)
        yield batch, logits


@torch.no_grad()
def scored(answers: Iterable[tuple[Batch, Tensor]], criterion: Criterion, device: torch.device) -> Evaluation:
    """The scores of batches and logits, summed on the device."""
    evaluating = Evaluating(criterion, device)
    for batch, logits in answers:
        evaluating.add(logits, batch.labels)
    return evaluating.read()


def evaluate(model: nn.Module, batches: Iterable[Batch], criterion: Criterion, precision: Precision) -> Evaluation:
    """The model's scores over the batches, in evaluation mode."""
    return scored(answered(model, batches, precision), criterion, next(model.parameters()).device)
