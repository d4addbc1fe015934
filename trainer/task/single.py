"""One label a picture: the classes exclude each other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.registry import TASKS
from trainer.task.task import Task, shares
from trainer.task.task import Verdicts as AnyVerdicts


@TASKS.register
def single() -> Task:
    """One label a picture: probabilities are a softmax's and sum to one; accuracy selects and ranks."""
    return Single()


@dataclass(frozen=True)
class Verdicts:
    """Of N images. Whatever is told of classes is counted from these."""

    labels: Tensor
    """(N,) int32; -1: ignored."""
    answers: Tensor
    """(N,) int32: the likeliest class, the first of equals."""
    probabilities: Tensor
    """(N,) float32, of these answers."""

    @property
    def images(self) -> int:
        return int((self.labels >= 0).sum())

    def plain(self) -> dict[str, Tensor]:
        return asdict(self)


class Collector:
    """Keeps what a label and an answer are, and the answer's probability."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        answers = logits.argmax(1)
        probabilities = logits.float().softmax(1).gather(1, answers[:, None])[:, 0]
        self._batches.append((labels.int(), answers.int(), probabilities))

    def read(self) -> Verdicts:
        if not self._batches:
            none = torch.empty(0, dtype=torch.int32)
            return Verdicts(none, none, none.float())
        labels, answers, probabilities = (torch.cat(column).cpu() for column in zip(*self._batches, strict=True))
        return Verdicts(labels, answers, probabilities)


@dataclass(frozen=True)
class Single:
    """Labels (N,) int64, each an index into the classes, or -1 for 'ignored'. Soft targets sum to one, or to zero."""

    name = "single"
    labels = "one"
    usual_loss = "cross_entropy"
    score = "accuracy"
    step_score = "accuracy"
    score_in_words = step_score_in_words = right_in_words = "accuracy"
    weights_in_words = "class weights"

    def refuse(self, labels: Tensor, num_classes: int) -> str | None:
        if labels.ndim == 1:
            return None
        return "these pictures have several labels each, and task=single learns one. Say task=multi."

    def has_label(self, labels: Tensor) -> Tensor:
        return labels >= 0

    def can_score(self, labels: Tensor) -> bool:
        return bool((labels >= 0).any())

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        if labels.ndim == 2:
            return labels.to(torch.float32)
        return (labels[:, None] == torch.arange(num_classes, device=labels.device)).to(torch.float32)

    def weights(self, targets: Tensor, class_weights: Tensor) -> Tensor:
        """The weight of the label's class; of soft labels, the expected one."""
        return (targets * class_weights).sum(dim=1)

    def mixed(self, targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        return targets.lerp(targets[partner], 1 - share)

    def tally(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Correct and labelled samples."""
        return (logits.argmax(1) == labels).sum(dtype=torch.float32), (labels >= 0).sum(dtype=torch.float32)

    def surprise(self, logits: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        nats = cross_entropy(logits.to(dtype), labels, ignore_index=-1, reduction="sum")
        return torch.stack([nats, (labels >= 0).sum().to(dtype)])

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def collector(self) -> Collector:
        return Collector()

    def score_of(self, ratio: float, verdicts: AnyVerdicts) -> float:
        return ratio

    def recall(self, verdicts: AnyVerdicts, num_classes: int) -> tuple[float | None, ...]:
        assert isinstance(verdicts, Verdicts)
        right = verdicts.labels[verdicts.labels == verdicts.answers]
        return shares(*(self.images_of_each(each, num_classes) for each in (right, verdicts.labels)))

    def commonest(self, verdicts: AnyVerdicts) -> float | None:
        assert isinstance(verdicts, Verdicts)
        counts = torch.bincount(verdicts.answers[verdicts.labels >= 0])
        return float(counts.max() / counts.sum()) if len(counts) else None

    def images_of_each(self, labels: Tensor, num_classes: int) -> list[int]:
        counts: list[int] = torch.bincount(labels[labels >= 0].cpu(), minlength=num_classes).tolist()
        return counts

    def verdicts_in(self, saved: Mapping[str, Any]) -> Verdicts | None:
        stored = saved.get("verdicts")
        if not isinstance(stored, Mapping) or stored.keys() != Verdicts.__dataclass_fields__.keys():
            return None
        return Verdicts(**stored)


SINGLE = Single()
