"""An optimizer as it is made where the model was replaced after it: a plugin, to plant that fault with."""

from copy import deepcopy

import torch
from torch import nn

from trainer.optim.adamw import adamw
from trainer.registry import OPTIMS
from trainer.schema import Positive


@OPTIMS.register
def elsewhere(model: nn.Module, *, lr: Positive = 0.003) -> torch.optim.Optimizer:
    """AdamW over the weights of a copy: what the model learns reaches nobody."""
    return adamw(deepcopy(model), lr=lr)
