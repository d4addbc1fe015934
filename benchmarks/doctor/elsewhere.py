"""An optimizer that was made before the model was replaced: a plugin, to plant that fault with."""

from copy import deepcopy

import torch
from torch import nn

from trainer.optim.adamw import adamw
from trainer.registry import OPTIMS
from trainer.schema import BelowOne, Fraction, NonNegative, Positive


@OPTIMS.register
def elsewhere(
    model: nn.Module,
    *,
    lr: Positive = 0.003,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
    decay_on: list[str] | None = None,
    stage_decay: Fraction = 1.0,
) -> torch.optim.Optimizer:
    """AdamW over the weights of a copy: the model itself stays as it is."""
    return adamw(
        deepcopy(model),
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decay_on=decay_on,
        stage_decay=stage_decay,
    )
