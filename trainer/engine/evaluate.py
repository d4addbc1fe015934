"""What a model answers to batches, and how good that is."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from trainer.engine.batch import Batch
from trainer.engine.device import ahead
from trainer.engine.metrics import Evaluating, Evaluation
from trainer.engine.precision import Precision
from trainer.loss.criterion import Criterion
from trainer.parallel.ranks import ALONE, Ranks


@torch.no_grad()
def answered(
    model: nn.Module, batches: Iterable[Batch], precision: Precision, ranks: Ranks = ALONE
) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch with the model's logits for it, (B, classes), in evaluation mode: for all of it, whoever answered."""
    model.eval()
    for batch in ahead(batches, next(model.parameters()).device):
        with precision.autocast():
            logits = model(batch.images)
        yield batch, ranks.whole(logits, len(batch.labels))


@torch.no_grad()
def scored(answers: Iterable[tuple[Batch, Tensor]], criterion: Criterion, device: torch.device) -> Evaluation:
    """The scores of batches and logits, summed on the device."""
    evaluating = Evaluating(criterion, device)
    for batch, logits in answers:
        evaluating.add(logits, batch.labels)
    return evaluating.read()


def evaluate(
    model: nn.Module, batches: Iterable[Batch], criterion: Criterion, precision: Precision, ranks: Ranks = ALONE
) -> Evaluation:
    """The model's scores over the batches, in evaluation mode: the same on all ranks."""
    found = scored(answered(model, batches, precision, ranks), criterion, next(model.parameters()).device)
    agreed: Evaluation = ranks.from_first(found)  # else what is best might differ where a machine rounds otherwise
    return agreed
