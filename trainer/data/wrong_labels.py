"""Wrong labels on purpose: to see what a training makes of labels that cannot be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer.data.source import ArraySamples, Samples, Subset
from trainer.errors import ConfigError
from trainer.rng import seed_of

_WORDS = 2**63


def mislabelled(samples: Samples, share: float, num_classes: int) -> tuple[Samples, str]:
    """The samples, of which about this share have the label of another class, each as likely; and a note of it.

    Which ones, and of which class, is a function of each sample's key alone: a larger share keeps the wrong labels of
    a smaller one. Of two classes and more. Raises ConfigError where a picture has several labels.
    """
    if samples.labels.ndim == 2:
        raise ConfigError("data.wrong_labels: they are planted where a picture has one label. Leave it out.")
    labels = samples.labels.tolist()
    given = [_given(key, label, share, num_classes) for key, label in zip(samples.keys, labels, strict=True)]
    count = sum(one != other for one, other in zip(given, labels, strict=True))
    note = f"{count:,} of {len(labels):,} training labels are wrong on purpose (data.wrong_labels={share:g})."
    return relabelled(samples, torch.tensor(given, dtype=torch.int64)), note


def relabelled(samples: Samples, labels: Tensor) -> Samples:
    """The samples under other labels, (N,) int64; pixels that are at hand stay at hand."""
    if isinstance(samples, Subset):
        of_whole = samples.whole.labels.clone()
        of_whole[samples.indices] = labels
        return Subset(relabelled(samples.whole, of_whole), samples.indices)
    if isinstance(samples, ArraySamples):
        return replace(samples, labels=labels)
    return Relabelled(samples, labels)


@dataclass(frozen=True)
class Relabelled:
    """Other samples under labels that are given, (N,) int64."""

    whole: Samples
    labels: Tensor

    @property
    def keys(self) -> Sequence[str]:
        return self.whole.keys

    @property
    def groups(self) -> Sequence[str] | None:
        return self.whole.groups

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.whole.shape

    def image(self, index: int) -> Tensor:
        return self.whole.image(index)

    def digest(self) -> bytes:
        return self.whole.digest()

    def version(self) -> bytes:
        return self.whole.version()

    def __len__(self) -> int:
        return len(self.whole)


def _given(key: str, label: int, share: float, num_classes: int) -> int:
    if label < 0 or seed_of("wrong label", key) >= share * _WORDS:
        return label
    return (label + 1 + seed_of("which label", key) % (num_classes - 1)) % num_classes
