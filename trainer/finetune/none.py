"""Nothing is frozen."""

from trainer.finetune.freezing import BeginEpoch, learn_all
from trainer.registry import FINETUNES


@FINETUNES.register
def none(num_stages: int, epochs: int) -> BeginEpoch:
    """Everything learns from the first epoch on."""
    return learn_all
