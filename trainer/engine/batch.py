"""What the loop is given to train and to validate on."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """images: (B, C, H, W) float, normalised; labels: as the task has them; both on the device.

    targets: what the training loss is told: the labels, or where samples were mixed, soft ones, (B, classes).
    Of one of several processes the images are those that it works on; so are labels and targets, if it learns from
    them. indices: (B,) on the CPU, of the whole batch.
    """

    @property
    def images(self) -> Tensor: ...
    @property
    def labels(self) -> Tensor: ...
    @property
    def targets(self) -> Tensor: ...
    @property
    def indices(self) -> Tensor: ...


class Batches(Protocol):
    """The training batches: a function of (epoch, number). per_step: of how many each step of an epoch is made.

    beside: whether a thread may prepare them beside the steps.
    """

    @property
    def per_step(self) -> Sequence[int]: ...
    @property
    def beside(self) -> bool: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterable[Batch]: ...


def steps_per_epoch(batches: Batches) -> int:
    """Optimizer steps in an epoch."""
    return len(batches.per_step)
