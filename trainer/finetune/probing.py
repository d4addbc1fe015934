"""What the parts return that fit the head at once, before anything is learnt step by step."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from trainer.finetune.freezing import keep_statistics, learn_all


@dataclass(frozen=True)
class Probing:
    """The head is fitted to the features of the body as it is; then everything learns, unless the fit is all."""

    views: int
    """How many augmented views of each image are fitted to as well."""
    alone: bool
    """Whether nothing is learnt after the fit."""
    notes: tuple[str, ...]
    """What the fit is, and what then does not act, for the user to read before the run."""
    norm: Literal["frozen", "running"] = "running"
    """Batch norm while the body learns: with its stored statistics, or with the batch's, which are averaged on."""

    def __call__(self, model: nn.Module, epoch: int) -> None:
        learn_all(model, epoch)
        if self.norm == "frozen":
            keep_statistics(model)


def seen(views: int) -> str:
    """Which pictures the head is fitted to, in words."""
    augmented = f" and {views} augmented view{'s' * (views > 1)} of each" if views else ""
    return f"all training images as they are{augmented}"
