"""A training so small that a loop by hand can check it: for the tests of the engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import EpochReport, Plan, Recipe, fit
from trainer.engine.metrics import Scores
from trainer.engine.precision import Precision
from trainer.engine.state import State
from trainer.task.single import SINGLE

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Pair:
    images: Tensor
    labels: Tensor

    @property
    def targets(self) -> Tensor:
        return self.labels

    @property
    def indices(self) -> Tensor:
        return torch.arange(len(self.labels))


class Fixed:
    """The same few batches every epoch. per_step: of how many each step is made; None: of one."""

    beside = True

    def __init__(self, pairs: list[Pair], per_step: Sequence[int] | None = None) -> None:
        self.pairs = pairs
        self.per_step = per_step or [1] * len(pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Pair]:
        return iter(self.pairs[start:])


class Plain:
    """Cross-entropy, every sample with weight 1."""

    task = SINGLE
    class_weights = torch.ones(3)

    def soft(self, targets: Tensor) -> Tensor:
        return targets

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits.float(), targets, reduction="none")

    def weights(self, targets: Tensor) -> Tensor:
        return torch.ones(len(targets))


class Deaf:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[EpochReport] = []
        self.logs: list[tuple[int, Scores]] = []
        self.saves: list[tuple[int, bool]] = []

    def step(self, state: State) -> None: ...

    def logged(self, state: State, scores: Scores, lr: float) -> None:
        self.logs.append((state.step, scores))

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)

    def save(self, state: State, *, is_best: bool) -> None:
        self.saves.append((state.step, is_best))


def batches(count: int, size: int = 8, seed: int = 0) -> Fixed:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, size, 5, generator=generator)
    labels = torch.randint(0, 3, (count, size), generator=generator)
    return Fixed([Pair(*each) for each in zip(images, labels, strict=True)])


def net(*, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def begin(model: nn.Module, *, precision: str = "fp32", averaging: bool = False, lr: float = 0.1) -> State:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for group in optimizer.param_groups:
        group["initial_lr"] = lr
    return State.begin(model, optimizer, Precision(precision, CPU).scaler(), averaging=averaging)


def recipe(precision: str = "fp32", **options: Any) -> Recipe:
    return Recipe(Plain(), lambda step: 1.0 / (1 + step), Precision(precision, CPU), **options)


def run(state: State, fixed: Fixed, how: Recipe, *, epochs: int = 2, **plan: Any) -> Deaf:
    observer = Deaf()
    fit(state, fixed, fixed, how, Plan(epochs, **plan), observer, Interrupt())
    return observer
