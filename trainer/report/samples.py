"""A few training images to be shown: which of them, and what is said of each."""

from collections import Counter
from collections.abc import Iterable, Sequence

from torch import Tensor

from trainer.data.source import classes_of_each

_LEAST_SHARE = 0.005
"""Of a mixture: less is not told."""


def of_many_classes(labels: Tensor, order: Iterable[int], most: int) -> list[int]:
    """So many of the images, those first that come first in this order and are of classes not seen yet."""
    classes, seen, places = classes_of_each(labels), Counter[int](), list[tuple[int, int, int]]()
    for place, index in enumerate(order):
        own = classes[index] or (-1,)
        places.append((max(seen[label] for label in own), place, index))
        seen.update(own)
    return [index for _, _, index in sorted(places)[:most]]


def labels_in_words(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """The labels of each image by name."""
    return [
        "(ignored)" if each is None else ", ".join(classes[label] for label in each) or "no label"
        for each in classes_of_each(labels)
    ]


def mixture_in_words(targets: Tensor, classes: Sequence[str]) -> str:
    """The labels of a mixed image with their shares; nothing for an image of its own. targets: (C,), or its class."""
    if targets.dim() == 0:
        return ""
    shares = sorted(
        ((share, label) for label, share in enumerate(targets.tolist()) if share > _LEAST_SHARE), reverse=True
    )
    if all(share >= 1 - _LEAST_SHARE for share, _ in shares):
        return ""
    return " + ".join(f"{share:.0%} {classes[label]}" for share, label in shares)
