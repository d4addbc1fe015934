"""Stage by stage, from the head down."""

from typing import Literal

from trainer.errors import ConfigError
from trainer.finetune.freezing import BeginEpoch, Freezing, require_body
from trainer.registry import FINETUNES
from trainer.schema import Count


@FINETUNES.register
def gradual(
    num_stages: int,
    epochs: int,
    *,
    epochs_per_stage: Count = 1,
    norm: Literal["frozen", "running"] = "frozen",
) -> BeginEpoch:
    """The head learns first, and every few epochs one stage more, down to the stem: the most careful way to fine-tune.

    Howard and Ruder 2018, section 3.3 (gradual unfreezing). Raises ConfigError if not even one stage would be added.
    """
    require_body("gradual", num_stages)
    if epochs_per_stage >= epochs:
        raise ConfigError(
            f"finetune.epochs_per_stage: in epochs={epochs} no stage but the head would learn. Lower it, raise epochs, "
            f"or say finetune=head_first finetune.frozen_epochs=all."
        )

    def num_frozen(epoch: int) -> int:
        return max(0, num_stages - 1 - epoch // epochs_per_stage)

    whole = (num_stages - 1) * epochs_per_stage + 1
    end = f"all {num_stages} in epoch {whole}" if whole <= epochs else f"{num_frozen(epochs - 1)} never"
    often = "each epoch" if epochs_per_stage == 1 else f"every {epochs_per_stage} epochs"
    return Freezing(
        num_frozen,
        norm,
        (f"finetune: the head learns first, one stage more {often}, {end}; batch norm in frozen stages is {norm}",),
    )
