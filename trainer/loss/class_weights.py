"""How much a sample of each class counts: said in the config, or worked out from the training labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.errors import ConfigError, did_you_mean

_BETA = 0.999
"""Cui et al. 2019 find 0.999 to 0.9999 best; the smaller suits sets of thousands, not millions, of images."""
_SHOWN = 10
"""Classes that one line names."""


def class_weights(
    choice: str | dict[str, float], labels: Tensor, classes: Sequence[str], option: str = "class_weights"
) -> Tensor:
    """(C,) float32, ones for 'none'. labels: (N,) of the training set, -1 not counted; for (N, C) see positive_weights.

    'balanced': in inverse proportion to the class's share. 'effective': to its effective number of samples
    (1 - beta^n) / (1 - beta) (Cui et al. 2019, "Class-balanced loss", section 3.3). Both have mean 1 over the samples,
    so the learning rate keeps its meaning; a class without samples gets 1. A mapping gives the weights of the classes
    that it names, 1 to the others. Raises ConfigError for a name that is no class; option: what to call it then.
    """
    if isinstance(choice, dict):
        return _named(choice, classes, option)
    if labels.ndim == 2:
        return positive_weights(choice, labels)
    counts = torch.bincount(labels[labels >= 0].cpu(), minlength=len(classes)).double()
    if choice == "balanced":
        rarity = 1 / counts
    elif choice == "effective":
        rarity = (1 - _BETA) / (1 - _BETA**counts)
    else:
        assert choice == "none", choice
        return torch.ones(len(classes))
    present = counts > 0
    mean = (counts * rarity)[present].sum() / counts.sum()
    return torch.where(present, rarity / mean, 1.0).to(torch.float32)


def positive_weights(choice: str, labels: Tensor) -> Tensor:
    """(C,) float32: how much a picture with each label counts beside one without it; ones for 'none'.

    labels: (N, C) of the training set: 1, 0, or -1, which is not counted. 'balanced': as many times as there are
    pictures without the label for each one with it, which then weigh the same in all (torch's BCEWithLogitsLoss calls
    it pos_weight). 'effective': the same of their effective numbers (Cui et al. 2019). 1 where no picture has a label.
    """
    positive, negative = (((labels == value).sum(dim=0).cpu().double()) for value in (1, 0))
    if choice == "none":
        return torch.ones(labels.shape[1])
    if choice == "effective":
        positive, negative = (1 - _BETA**count for count in (positive, negative))
    else:
        assert choice == "balanced", choice
    return torch.where((positive > 0) & (negative > 0), negative / positive, 1.0).to(torch.float32)


def shown(weights: Tensor, classes: Sequence[str]) -> str:
    """The weights in words, for the user to read before the run: all of a few, the extremes of many."""
    named = [f"{name} {weight:.3g}" for name, weight in zip(classes, weights.tolist(), strict=True)]
    if len(named) <= _SHOWN:
        return ", ".join(named)
    return f"{len(named)} classes, from {named[int(weights.argmin())]} to {named[int(weights.argmax())]}"


def _named(choice: dict[str, float], classes: Sequence[str], option: str) -> Tensor:
    for name in choice:
        if name not in classes:
            shown = ", ".join(classes[:_SHOWN]) + (", …" if len(classes) > _SHOWN else "")
            near = did_you_mean(name, classes)
            raise ConfigError(f"loss.{option}: there is no class '{name}'.{near} The classes are {shown}.")
    return torch.tensor([choice.get(name, 1.0) for name in classes])
