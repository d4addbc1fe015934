"""What every task part returns: what a label is, in one place.

The loop, the losses and the mixing know nothing of labels but what a task tells them. A task of another kind, detection
say, is one more file here, and one more folder that tells its answers in `inference/`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Verdicts(Protocol):
    """What a model has answered in an evaluation, image by image, in the order of their part; on the CPU."""

    @property
    def images(self) -> int:
        """Those that have a label."""

    def plain(self) -> dict[str, Tensor]:
        """As best.pt holds them."""


class Collector(Protocol):
    """Takes answers batch by batch, and never waits for the device."""

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Shapes (B, C), and those of the labels."""

    def read(self) -> Verdicts:
        """All of them, read from the device."""


class Task(Protocol):
    """What a label is. Labels lie on the device as the samples have them; targets are what a loss is told."""

    @property
    def name(self) -> str:
        """The part's name in conf/task."""

    @property
    def labels(self) -> str:
        """one | several: what a data part that knows both is asked for."""

    @property
    def usual_loss(self) -> str:
        """The loss part that suits it, mixed labels included."""

    @property
    def score(self) -> str:
        """The share in [0, 1] by which epochs are selected and runs are ranked: accuracy, say. Records have val_…"""

    @property
    def step_score(self) -> str:
        """The share in [0, 1] that is told of training, since it is a ratio of sums. Records have train_…"""

    @property
    def score_in_words(self) -> str:
        """Its name, where people read."""

    @property
    def step_score_in_words(self) -> str:
        """Its name, where people read."""

    @property
    def right_in_words(self) -> str:
        """The name of the share of the images that are answered right in all."""

    @property
    def weights_in_words(self) -> str:
        """What the criterion's class weights are of."""

    def refuse(self, labels: Tensor, num_classes: int) -> str | None:
        """Why labels of this shape are no labels of the task, and what to do; None where they are."""

    def has_label(self, labels: Tensor) -> Tensor:
        """(N,) bool: which images tell anything."""

    def can_score(self, labels: Tensor) -> bool:
        """Whether an evaluation of images of these labels can have another score than 0."""

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        """(B, C) float32, of labels or of what are targets already."""

    def weights(self, targets: Tensor, class_weights: Tensor) -> Tensor:
        """(B,) float32: what the sample's loss is divided by, summed over a step."""

    def mixed(self, targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        """The targets of samples of which a share, (B, 1), is their own, and the rest their partner's."""

    def tally(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Two sums over the batch, float32, whose ratio is the step_score."""

    def surprise(self, logits: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        """(2,): the sum of plain cross-entropy in nats, worked out in this type, and what it is divided by."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """(B, C) of (B, C)."""

    def collector(self) -> Collector:
        """One for an evaluation."""

    def score_of(self, ratio: float, verdicts: Verdicts) -> float:
        """The score of an evaluation whose tallies have this ratio."""

    def recall(self, verdicts: Verdicts, num_classes: int) -> tuple[float | None, ...]:
        """Of the images of each class, the share that is answered so; None for a class without images."""

    def commonest(self, verdicts: Verdicts) -> float | None:
        """The share of the labelled images that are given the answer that is given most; None where that is no sign."""

    def images_of_each(self, labels: Tensor, num_classes: int) -> list[int]:
        """Of each class, how many of these images have it. Shapes as the samples have them."""

    def verdicts_in(self, saved: Mapping[str, Any]) -> Verdicts | None:
        """Those that a best.pt holds; None where it has none of this task."""


def shares(hits: Sequence[int], images: Sequence[int]) -> tuple[float | None, ...]:
    """Of each class, what part of its images these are; None for a class without images."""
    return tuple(part / whole if whole else None for part, whole in zip(hits, images, strict=True))
