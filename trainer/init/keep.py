"""No initialisation but the model's own."""

from torch import Tensor, nn

from trainer.registry import INITS


@INITS.register
def keep(model: nn.Module, batch: Tensor) -> None:
    """The model's own initialisation, or its trained weights, untouched."""
