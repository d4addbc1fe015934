"""Everything that changes during training, and nothing else. What is in State is saved; what is saved is in State."""

from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from trainer.engine.course import MOST_NOTED, Course, Noted, counted
from trainer.engine.memories import by_name, memories_of, put_back
from trainer.engine.metrics import zero_sums
from trainer.parallel.sharded import load_weights, weights_of

_COUNTERS = (
    "step",
    "epoch",
    "lr",
    "best",
    "best_epoch",
    "best_step",
    "stale_epochs",
    "plateau_share",
    "plateau_epochs",
    "rollbacks",
)
_NAMED = 3
_CPU = torch.device("cpu")
_TENSORS = ("sums", "logged_sums", "streaks", "begun", "start_loss", "skipped_steps")
_LOOKS = ("gradient_norm", "updates")
"""Tensors that the states of earlier releases lack."""


class Counted:
    """A tensor of a state's course. Reading it reads the device, where steps are noted that are not counted yet."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, state: "State | None", owner: type) -> Tensor:
        if state is None:
            raise AttributeError  # so that a dataclass takes it for a field without a default
        state.count()
        value: Tensor = getattr(state, self._name)
        return value

    def __set__(self, state: "State", value: Tensor) -> None:
        setattr(state, self._name, value)


@dataclass
class State:
    """A run between two steps."""

    model: nn.Module
    averaged: nn.Module | None
    optimizer: Optimizer
    scaler: GradScaler
    gradient_norm: Tensor
    """Of all gradients of the last step that was looked at, before clipping; infinite before there was one."""
    updates: Tensor
    """(S,): the norm of an epoch's last change of each stage, divided by that of the weights; empty before one."""
    logged_sums: Tensor
    """The sums when the last step was logged."""
    sums: Counted = Counted()
    """Of the epoch under way."""
    streaks: Counted = Counted()
    """(2,) int64: steps in a row, up to now, whose loss or gradient is not finite; and whose loss is far off."""
    begun: Counted = Counted()
    """(2, 2): loss and gradient norm of the step at which each of these streaks last began."""
    start_loss: Counted = Counted()
    """The first loss that is above zero; 0 before."""
    skipped_steps: Counted = Counted()
    """int64: steps that the gradient scaler left out, since a loss or gradient was not finite."""
    step: int = 0
    """Optimizer steps taken."""
    epoch: int = 0
    """Epochs finished, their validation included."""
    lr: float = 0.0
    """The highest rate of the last step: that of the last stage."""
    best: tuple[float, float] | None = None
    """The scores of the best epoch, the monitored one and the one that breaks its ties; of both, more is better."""
    best_epoch: int = 0
    best_step: int = 0
    stale_epochs: int = 0
    """Epochs since the scores last became better."""
    plateau_share: float = 1.0
    """What plateaus have left of the rate that the schedule gives."""
    plateau_epochs: int = 0
    """Epochs since the scores last became better, or since a plateau cut the rate."""
    rollbacks: int = 0
    """Times that the run diverged and went back to a checkpoint; each has halved the rate."""
    noted: list[Noted] = field(default_factory=list, init=False, repr=False)
    """The steps that are not in the course yet; none in what is saved."""

    @classmethod
    def begin(
        cls,
        model: nn.Module,
        optimizer: Optimizer,
        scaler: GradScaler,
        *,
        averaging: bool,
        averaged: nn.Module | None = None,
    ) -> "State":
        """The state before the first step. averaged: a copy of the model, where it can no longer be made of it."""
        if averaging:
            averaged = (averaged or deepcopy(model)).requires_grad_(False)
        device = next(model.parameters()).device
        return cls(
            model,
            averaged,
            optimizer,
            scaler,
            gradient_norm=torch.full((), torch.inf, device=device),
            updates=torch.empty(0, device=device),
            sums=zero_sums(_CPU),
            logged_sums=zero_sums(_CPU),
            streaks=torch.zeros(2, dtype=torch.int64),
            begun=torch.zeros(2, 2),
            start_loss=torch.zeros(()),
            skipped_steps=torch.zeros((), dtype=torch.int64),
        )

    def note(self, step: Noted) -> None:
        """Keeps a step to be counted when its numbers are wanted, or there are many."""
        self.noted.append(step)
        if len(self.noted) == MOST_NOTED:
            self.count()

    def count(self) -> None:
        """Takes the steps that are noted into the course. Reads the device."""
        steps, self.noted = self.noted, []
        if steps:
            course = Course(*(getattr(self, each.name) for each in fields(Course)))
            course = counted(course, steps, leaves_out=self.scaler.is_enabled())
            for each in fields(Course):
                setattr(self, each.name, getattr(course, each.name))

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return next(self.model.parameters()).device

    @property
    def rate_share(self) -> float:
        """What plateaus and rollbacks have left of the rate that the schedule gives."""
        return self.plateau_share * 0.5**self.rollbacks

    @property
    def selected_model(self) -> nn.Module:
        """The weights that are validated and kept: the averaged ones where there are any."""
        return self.model if self.averaged is None else self.averaged

    def selected(self) -> dict[str, Any]:
        """The weights that are validated and kept, and when they were. Of several ranks all take part."""
        return {"model": weights_of(self.selected_model), "step": self.step, "epoch": self.epoch}

    def state_dict(self) -> dict[str, Any]:
        """Plain Python and tensors, such as torch.load(weights_only=True) accepts. Of several ranks all take part."""
        return {
            "model": weights_of(self.model),
            "averaged": weights_of(self.averaged) if self.averaged is not None else None,
            "optimizer": memories_of(self.optimizer, self.model),
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in (*_COUNTERS, *_TENSORS, *_LOOKS)},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> list[str]:
        """Become the saved state. Gives in words what of it does not fit this run, and so begins anew.

        Raises KeyError, ValueError or RuntimeError if it is of another kind of run.
        """
        saved = up_to_date(saved, self.optimizer, self.model)
        lost, anew = put_back(self.optimizer, self.model, saved["optimizer"]), []
        if lost:
            anew.append(f"the optimizer begins anew for {_some(lost)}, since what it kept of them does not fit")
        load_weights(self.model, saved["model"])
        if self.averaged is not None:
            load_weights(self.averaged, saved["averaged"] or saved["model"])
            anew += [] if saved["averaged"] else ["the averaged weights begin as the model's own"]
        if saved["scaler"].get("growth_interval") == self.scaler.state_dict().get("growth_interval"):
            self.scaler.load_state_dict(saved["scaler"])  # else it is of another precision or policy, and begins anew
        self.noted = []
        for name in _COUNTERS:
            setattr(self, name, saved[name])
        for name in (*_TENSORS, *(each for each in _LOOKS if each in saved)):
            ours = getattr(self, name)
            setattr(self, name, saved[name].to(ours))
        return anew

    def measure_anew(self) -> None:
        """Forget the best, and how long a better one was waited for: what follows is measured on or by something else.

        What plateaus have left of the rate stays: it is the rate that the weights were learnt with.
        """
        self.best, self.best_epoch, self.best_step = None, 0, 0
        self.stale_epochs = self.plateau_epochs = 0

    def learn_anew(self) -> None:
        """Forget where the loss began, and what was far from there: what follows is measured by another loss."""
        for tensor in (self.start_loss, self.streaks, self.begun):
            tensor.zero_()

    def renumber(self, steps_before: int, steps_now: int) -> None:
        """Count as if every epoch had always had as many steps as it has now: so schedule and shuffle stay in place."""
        self.step = renumbered(self.step, self.epoch, steps_before, steps_now)


def renumbered(step: int, epoch: int, steps_before: int, steps_now: int) -> int:
    """The number of a step after this many epochs, as if each had always had as many steps as it has now."""
    return epoch * steps_now + (step - epoch * steps_before) * steps_now // steps_before


def up_to_date(saved: dict[str, Any], optimizer: Optimizer, model: nn.Module) -> dict[str, Any]:
    """A state of format 1, which counts the parameters and keeps the rate in their groups, as one of today's."""
    if "lr" in saved:
        return saved
    rates = [group["lr"] for group in saved["optimizer"]["param_groups"]]
    return {**saved, "lr": max(rates), "optimizer": by_name(saved["optimizer"], optimizer, model)}


def _some(names: list[str]) -> str:
    """How many there are, and the first of them."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} parameter{'s' * (len(names) > 1)} ({', '.join(names[:_NAMED])}{more})"
