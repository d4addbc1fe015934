"""Everything that changes during training, and nothing else. What is in State is saved; what is saved is in State."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from trainer.engine.metrics import zero_sums

_COUNTERS = (
    "step",
    "epoch",
    "best",
    "best_epoch",
    "best_step",
    "stale_epochs",
    "plateau_share",
    "plateau_epochs",
    "skipped_steps",
)
_TENSORS = ("sums", "logged_sums", "bad_streak")


@dataclass
class State:
    """A run between two steps."""

    model: nn.Module
    averaged: nn.Module | None
    optimizer: Optimizer
    scaler: GradScaler
    sums: Tensor
    """Of the epoch under way."""
    logged_sums: Tensor
    """The sums when the last step was logged."""
    bad_streak: Tensor
    """Steps in a row, up to now, whose loss was not finite; int64 on the device."""
    step: int = 0
    """Optimizer steps taken."""
    epoch: int = 0
    """Epochs finished, their validation included."""
    best: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    stale_epochs: int = 0
    """Epochs since the monitored score was best."""
    plateau_share: float = 1.0
    """What plateaus have left of the rate that the schedule gives."""
    plateau_epochs: int = 0
    """Epochs since the monitored score was best, or since a plateau cut the rate."""
    skipped_steps: int = 0
    """Steps that the gradient scaler left out since a gradient had overflowed."""

    @classmethod
    def begin(cls, model: nn.Module, optimizer: Optimizer, scaler: GradScaler, *, averaging: bool) -> "State":
        """The state before the first step."""
        device = next(model.parameters()).device
        averaged = deepcopy(model).requires_grad_(False) if averaging else None
        streak = torch.zeros((), dtype=torch.int64, device=device)
        return cls(model, averaged, optimizer, scaler, zero_sums(device), zero_sums(device), streak)

    @property
    def selected_model(self) -> nn.Module:
        """The weights that are validated and kept: the averaged ones where there are any."""
        return self.model if self.averaged is None else self.averaged

    def state_dict(self) -> dict[str, Any]:
        """Plain Python and tensors, such as torch.load(weights_only=True) accepts."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in (*_COUNTERS, *_TENSORS)},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Become the saved state. Raises KeyError, ValueError or RuntimeError if it is of another kind of run."""
        self.model.load_state_dict(saved["model"])
        if self.averaged is not None:
            self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        for name in _COUNTERS:
            setattr(self, name, saved[name])
        for name in _TENSORS:
            setattr(self, name, saved[name].to(self.sums.device))
