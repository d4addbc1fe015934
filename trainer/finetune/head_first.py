"""The head first, then everything."""

from typing import Literal

from trainer.errors import ConfigError
from trainer.finetune.freezing import BeginEpoch, Freezing, require_body
from trainer.registry import FINETUNES
from trainer.schema import Count


@FINETUNES.register
def head_first(
    num_stages: int,
    epochs: int,
    *,
    frozen_epochs: Count | Literal["all"] = 1,
    norm: Literal["frozen", "running"] = "frozen",
) -> BeginEpoch:
    """The new head learns alone on the frozen body, then everything learns: the usual way to fine-tune.

    A head that starts at random would send large gradients into a body that is good already. The head is the last of
    the model's stages. Raises ConfigError if the body would never learn and "all" was not said.
    """
    require_body("head_first", num_stages)
    if frozen_epochs == "all":
        frozen, then = epochs, "in every epoch"
    elif frozen_epochs < epochs:
        frozen, then = frozen_epochs, f"in epoch 1 to {frozen_epochs}, then everything"
    else:
        raise ConfigError(
            f"finetune.frozen_epochs: {frozen_epochs} of epochs={epochs} leave none in which the body learns. "
            f"Lower it, raise epochs, or say all if the body is to stay as it is."
        )
    body = num_stages - 1
    return Freezing(
        lambda epoch: body if frozen_epochs == "all" or epoch < frozen else 0,
        norm,
        (f"finetune: the head learns alone, on a frozen body of {body} stages, {then}; batch norm there is {norm}",),
    )
