"""What a model has answered in an evaluation, image by image: kept on the device until the pass is over."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdicts:
    """Of N images, in the order of their part; on the CPU. Whatever is told of classes is counted from these."""

    labels: Tensor
    """(N,) int32; -1: ignored."""
    answers: Tensor
    """(N,) int32: the likeliest class, the first of equals."""
    probabilities: Tensor
    """(N,) float32, of these answers."""

    def plain(self) -> dict[str, Tensor]:
        """As best.pt holds them."""
        return asdict(self)


class Collector:
    """Takes the answers batch by batch, and never waits for the device."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Shapes (B, C), (B,)."""
        answers = logits.argmax(1)
        probabilities = logits.float().softmax(1).gather(1, answers[:, None])[:, 0]
        self._batches.append((labels.int(), answers.int(), probabilities))

    def read(self) -> Verdicts:
        """All of them, read from the device."""
        if not self._batches:
            none = torch.empty(0, dtype=torch.int32)
            return Verdicts(none, none, none.float())
        labels, answers, probabilities = (torch.cat(column).cpu() for column in zip(*self._batches, strict=True))
        return Verdicts(labels, answers, probabilities)


def verdicts_in(saved: Mapping[str, Any]) -> Verdicts | None:
    """Those that a best.pt holds; None where it is older than they are."""
    stored = saved.get("verdicts")
    if not isinstance(stored, Mapping) or stored.keys() != Verdicts.__dataclass_fields__.keys():
        return None
    return Verdicts(**stored)
