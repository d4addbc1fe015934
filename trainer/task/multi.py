"""Several labels a picture, or none: each class is a yes-or-no question of its own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.registry import TASKS
from trainer.schema import Share
from trainer.task.ranking import mean_average_precision
from trainer.task.task import Task, shares
from trainer.task.task import Verdicts as AnyVerdicts


@TASKS.register
def multi(*, threshold: Share | None = None) -> Task:
    """Several labels a picture, or none: probabilities are sigmoids; mean average precision selects and ranks.

    threshold: the probability from which on a label is answered; None: for each label the one that makes its F1
    greatest on the validation part.
    """
    return Multi(threshold)


@dataclass(frozen=True)
class Verdicts:
    """Of N images. Whatever is told of labels is worked out from these."""

    labels: Tensor
    """(N, C) int8: 1, 0, or -1 for 'unknown'."""
    probabilities: Tensor
    """(N, C) float32."""

    @property
    def images(self) -> int:
        return int((self.labels >= 0).any(dim=1).sum())

    def plain(self) -> dict[str, Tensor]:
        return asdict(self)


class Collector:
    """Keeps all probabilities: how well they rank images is known once all are there."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self._batches.append((labels.to(torch.int8), logits.float().sigmoid()))

    def read(self) -> Verdicts:
        if not self._batches:
            return Verdicts(torch.empty(0, 0, dtype=torch.int8), torch.empty(0, 0))
        labels, probabilities = (torch.cat(column).cpu() for column in zip(*self._batches, strict=True))
        return Verdicts(labels, probabilities)


@dataclass(frozen=True)
class Multi:
    """Labels (N, C) int8: 1 where the picture shows the class, 0 where it does not, -1 where that is unknown.

    Targets are the same as float32; mixed ones lie between 0 and 1. The loss is a mean over what is known.
    """

    threshold: float | None = None
    """From which probability on a label is answered; None: by its F1 on the validation part."""

    name = "multi"
    labels = "several"
    usual_loss = "binary_cross_entropy"
    score = "map"
    step_score = "f1"
    score_in_words = "mean average precision"
    step_score_in_words = "F1"
    right_in_words = "exact match"
    weights_in_words = "a picture with the label counts, beside one without it"

    def refuse(self, labels: Tensor, num_classes: int) -> str | None:
        if labels.ndim == 2:
            return None
        return (
            "these pictures have one label each, and task=multi learns several. Use data=table, whose rows may have "
            "several, or data=glyphs data.labels=several; or say task=single."
        )

    def has_label(self, labels: Tensor) -> Tensor:
        return (labels >= 0).any(dim=1)

    def can_score(self, labels: Tensor) -> bool:
        return bool((labels > 0).any())

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        return labels.to(torch.float32)

    def weights(self, targets: Tensor, class_weights: Tensor) -> Tensor:
        """The share of the labels that are known: the sample's loss is summed over these, and divided by all."""
        return (targets >= 0).float().mean(dim=1)

    def mixed(self, targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        """What is unknown of either of two that are mixed is unknown of the mixture."""
        theirs = targets[partner]
        unknown = (targets < 0) | ((theirs < 0) & (share < 1))
        return torch.where(unknown, -1.0, targets.lerp(theirs, 1 - share))

    def tally(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Of the micro F1 at a probability of one half: twice the true positives; labels and answers together."""
        answered, known = (logits > 0) & (labels >= 0), labels > 0
        true, all_answered, all_known = (each.sum(dtype=torch.float32) for each in (answered & known, answered, known))
        return 2 * true, all_answered + all_known

    def surprise(self, logits: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        known = labels >= 0
        nats = binary_cross_entropy_with_logits(logits.to(dtype), labels.clamp(min=0).to(dtype), reduction="none")
        return torch.stack([torch.where(known, nats, 0.0).sum(), known.sum().to(dtype)])

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def collector(self) -> Collector:
        return Collector()

    def score_of(self, ratio: float, verdicts: AnyVerdicts) -> float:
        assert isinstance(verdicts, Verdicts)
        return mean_average_precision(verdicts.probabilities.double(), verdicts.labels)

    def recall(self, verdicts: AnyVerdicts, num_classes: int) -> tuple[float | None, ...]:
        """From the task's threshold on, or a probability of one half: as F1 is counted in training."""
        assert isinstance(verdicts, Verdicts)
        answered = verdicts.probabilities >= (0.5 if self.threshold is None else self.threshold)
        there = verdicts.labels > 0
        return shares(*(each.sum(dim=0).tolist() for each in (answered & there, there)))

    def commonest(self, verdicts: AnyVerdicts) -> float | None:
        return None

    def images_of_each(self, labels: Tensor, num_classes: int) -> list[int]:
        counts: list[int] = (labels > 0).sum(dim=0).tolist()
        return counts

    def verdicts_in(self, saved: Mapping[str, Any]) -> Verdicts | None:
        stored = saved.get("verdicts")
        if not isinstance(stored, Mapping) or stored.keys() != Verdicts.__dataclass_fields__.keys():
            return None
        return Verdicts(**stored)
