"""Looks at a run in passing: at gradients, updates, activations and waits. No bit of what is learnt depends on it."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from trainer.engine.metrics import Evaluation
from trainer.engine.state import State
from trainer.engine.vitals import Layer, Vitals
from trainer.loss.criterion import Criterion
from trainer.model.probe import ACTIVATIONS, RECTIFIERS
from trainer.parallel.sharded import whole

Item = TypeVar("Item")


@dataclass
class Watch:
    """Looks at the steps of an epoch: at the gradients of those that are told of, at what the last does to the weights.

    And counts how long batches are waited for.
    """

    epoch: int = 0
    """How many there were before."""
    steps: int = 0
    """Of an epoch."""
    log_every: int = 1
    looks: bool = False
    """Whether it looks at gradients and weights."""
    waited_seconds: float = 0.0

    def tells(self, step: int) -> bool:
        """Whether the records tell of this step: of every so many, and at first of the 1st, 2nd, 4th, 8th, …

        So what the loss was before anything was learnt is known of every run.
        """
        return step % self.log_every == 0 or (self.epoch == 0 and step < self.log_every and step.bit_count() == 1)

    def waiting(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same batches; counts how long each is waited for, on a GPU by its host."""
        coming = iter(batches)
        while True:
            begun = time.perf_counter()
            batch = next(coming, None)
            if batch is None:
                return
            self.waited_seconds += time.perf_counter() - begun
            yield batch

    def share(self, train_seconds: float) -> float | None:
        """What waiting was of this time; None where there was no batch to wait for."""
        return self.waited_seconds / train_seconds if self.waited_seconds else None

    def looks_at(self, step: int) -> bool:
        """Whether the norm of all gradients of this step is wanted."""
        return self.looks and (step == self._last or self.tells(step))

    @contextmanager
    def update(self, state: State, norm: Tensor) -> Iterator[None]:
        """While a step changes the weights. norm: of its gradients. What is noted stays on the device.

        The weights are kept twice only from here on, when the memory of the activations is free again.
        """
        step = state.step + 1
        if self.looks_at(step):
            state.gradient_norm = norm
        is_last = self.looks and step == self._last
        before = [each.detach().clone() for each in state.model.parameters()] if is_last else []
        yield
        if before:
            state.updates = _changes(state.model, before)

    @property
    def _last(self) -> int:
        return (self.epoch + 1) * self.steps


class Activations:
    """Hears what the activation layers of a network give out while it lasts, for one of so many images that it sees.

    every: 0 for none of them. Layers that are called as functions are not heard. What is summed stays on the device.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self._model, self._every = model, every
        self._hooks: list[RemovableHandle] = []
        self._seen = self._images = 0
        """Images up to now, and in the batch under way where it has one to look at."""
        self._calls: Counter[str] = Counter()
        """Of each layer in this batch: some networks call one layer several times."""
        self._sums: dict[str, _Sums] = {}

    def __enter__(self) -> "Activations":
        if self._every:
            self._hooks = [self._model.register_forward_pre_hook(self._begin)]
        for name, module in self._model.named_modules() if self._every else ():
            if isinstance(module, ACTIVATIONS):
                self._hooks.append(module.register_forward_hook(partial(self._hear, name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def read(self) -> tuple[Layer, ...]:
        """The layers in the order in which they first ran. Reads the device."""
        if not self._sums:
            return ()
        figures = torch.stack([sums.figures() for sums in self._sums.values()]).tolist()
        return tuple(Layer(name, *figure) for name, figure in zip(self._sums, figures, strict=True))

    def _begin(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        images = len(inputs[0])
        first = -self._seen % self._every
        self._rows = slice(first, None, self._every)  # no list of places: a GPU would wait for it
        self._images = images if first < images else 0
        self._seen += images
        self._calls.clear()

    def _hear(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        # Else there are none to look at, or it works on something else than the images: on a learnt gate, say.
        if not isinstance(output, Tensor) or output.dim() < 2 or len(output) != self._images:
            return
        self._calls[name] += 1
        call = name if self._calls[name] == 1 else f"{name} ({self._calls[name]})"
        sums = self._sums.setdefault(call, _Sums(isinstance(module, RECTIFIERS)))
        sums.add(output[self._rows])


class _Sums:
    """Of the values of one layer."""

    def __init__(self, rectifies: bool) -> None:
        self.rectifies = rectifies
        self.count = 0
        self.total = self.square = self.highest = torch.empty(0)

    def add(self, x: Tensor) -> None:
        """x: (B, C, …), detached."""
        single = torch.float32  # doubles take ten times as long
        total, square = x.sum(dtype=single), torch.linalg.vector_norm(x, dtype=single).square()
        highest = x.amax((0, *range(2, x.dim()))) if self.rectifies else x.new_zeros(1)  # of each unit
        if self.count:
            total, square, highest = self.total + total, self.square + square, highest.maximum(self.highest)
        self.total, self.square, self.highest = total, square, highest
        self.count += x.numel()

    def figures(self) -> Tensor:
        """(3,): mean, standard deviation, and share of the units that never rose above zero."""
        mean = self.total / self.count
        std = (self.square / self.count - mean.square()).clamp(min=0).sqrt()
        dead = (self.highest <= 0).to(mean.dtype).mean() * self.rectifies
        return torch.stack([mean, std, dead])


def vitals_of(
    state: State, layers: tuple[Layer, ...], val: Evaluation, criterion: Criterion, waited: float | None
) -> Vitals:
    """What is noted at the end of an epoch. waited: share of its training time. Reads the device."""
    task, norm = criterion.task, float(state.gradient_norm)
    names = _names(state.model) if len(state.updates) else []  # a fit of the head is no step
    ratios = zip(names, state.updates.tolist(), strict=True)
    recall = () if val.verdicts is None else task.recall(val.verdicts, len(criterion.class_weights))
    return Vitals(
        gradient_norm=norm if math.isfinite(norm) else None,
        updates={name: ratio for name, ratio in ratios if math.isfinite(ratio)},
        layers=layers,
        recall=recall,
        commonest=None if val.verdicts is None else task.commonest(val.verdicts),
        waited=waited,
    )


def _stages(model: nn.Module) -> list[nn.Module]:
    stages: list[nn.Module] = model.stages  # type: ignore[assignment]  # the model room has checked them
    return stages


def _names(model: nn.Module) -> list[str]:
    """Of the stages: a stage that is no module of the network but a group of them is called by its first."""
    modules = {module: name for name, module in model.named_modules()}
    parameters = {parameter: name for name, parameter in model.named_parameters()}
    return [
        next((modules[each] for each in stage.modules() if modules.get(each)), None)
        or parameters[next(stage.parameters())]
        for stage in _stages(model)
    ]


def _changes(model: nn.Module, before: list[Tensor]) -> Tensor:
    """(S,): the norm of what has changed in each stage, divided by the norm of what was there; 0 where it is frozen.

    before: the weights as they were; used up.
    """
    was = dict(zip(model.parameters(), before, strict=True))
    ratios = []
    for stage in _stages(model):
        held = [was[each] for each in stage.parameters()]
        weights = whole(nn.utils.get_total_norm(held))
        moved = whole(
            nn.utils.get_total_norm([old.sub_(new.detach()) for old, new in zip(held, stage.parameters(), strict=True)])
        )
        ratios.append(moved / weights)
    return torch.stack(ratios)
