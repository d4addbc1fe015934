"""What every finetune part returns: how the model enters an epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from trainer.errors import ConfigError

BeginEpoch = Callable[[nn.Module, int], None]
"""(model, epoch from 0): puts the model in training mode, with what shall not learn in that epoch frozen.

A function of the epoch alone, so that a resumed run freezes what an unbroken one does.
"""


def learn_all(model: nn.Module, epoch: int) -> None:
    """Everything learns in every epoch."""
    model.train()


@dataclass(frozen=True)
class Freezing:
    """The first stages of the model are frozen at first: they get no gradient, and so neither steps nor decay."""

    num_frozen: Callable[[int], int]
    """Epoch -> how many stages, from the stem on, do not learn in it; never rising."""
    norm: Literal["frozen", "running"]
    """Batch norm in a frozen stage: with its stored statistics, or with the batch's, which go on being averaged."""
    notes: tuple[str, ...]
    """Who learns when, for the user to read before the run."""

    def __call__(self, model: nn.Module, epoch: int) -> None:
        stages: Sequence[nn.Module] = model.stages  # type: ignore[assignment]  # the model room has checked them
        num_frozen = self.num_frozen(epoch)
        model.train().requires_grad_(True)
        for stage in stages[:num_frozen]:
            stage.requires_grad_(False)
            if self.norm == "frozen":
                keep_statistics(stage)


def keep_statistics(module: nn.Module) -> None:
    """Lets every batch norm in it normalise by its stored statistics, and leave them as they are."""
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._NormBase):
            each.eval()


def require_body(part: str, num_stages: int) -> None:
    """Raises ConfigError if the model is all head."""
    if num_stages < 2:
        raise ConfigError(
            f"finetune '{part}': the model has one stage, so it has no body to freeze. Use finetune=none."
        )
