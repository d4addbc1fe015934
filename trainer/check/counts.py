"""How many pictures of each class there are in each part, and what follows from that."""

from collections.abc import Iterator, Sequence

import torch

from trainer.check.seen import PARTS, parts_of
from trainer.data.source import Source, images_of_each
from trainer.doctor.finding import Finding
from trainer.errors import some
from trainer.loss.class_weights import class_weights, shown

_SHOWN = 20
"""Classes of which each has its own figures in the lines."""
_FEW = 10
"""Training pictures below which a class is hardly learnt."""
_UNEVEN = 3.0
_VERY_UNEVEN = 10.0
"""How many times as many pictures the commonest class has as the rarest."""


def in_words(source: Source) -> list[str]:
    """A line for each part: how many pictures, and of each class."""
    lines = []
    for number, samples in parts_of(source).items():
        counts = images_of_each(samples.labels, len(source.classes)).tolist()
        named = [f"{name} {count:,}" for name, count in zip(source.classes, counts, strict=True)]
        if len(named) > _SHOWN:
            middle = sorted(counts)[len(counts) // 2]
            each = f"{len(named)} classes of {min(counts):,} to {max(counts):,} pictures, {middle:,} in the middle"
        else:
            each = ", ".join(named)
        lines.append(f"{PARTS[number]}: {len(samples):,} pictures ({each})")
    return lines


def of_counts(source: Source, weighting: object) -> Iterator[Finding]:
    """Findings. weighting: what loss.class_weights says; None where the loss has no such option."""
    counts = {
        number: images_of_each(samples.labels, len(source.classes)).tolist()
        for number, samples in parts_of(source).items()
    }
    train = counts[0]
    yield from _untrained(train, source)
    for number in (1, 2):
        if number in counts:
            yield from _unjudged(train, counts[number], number, source.classes)
    yield from _few(train, source.classes)
    yield from _uneven(train, source, weighting)


def _untrained(train: Sequence[int], source: Source) -> Iterator[Finding]:
    names = [name for name, count in zip(source.classes, train, strict=True) if not count]
    if names:
        yield Finding(
            "class_without_training",
            "fault",
            "Some classes have no training picture, so the model can never answer them rightly.",
            f"{len(names)} of {len(source.classes)}: {some(names)}",
            1.0,
            advice="Add training pictures of them, or remove the classes from every part; a smaller limit_train or a "
            "division by groups may have taken them.",
            practice="D1: every class trains",
        )


def _unjudged(train: Sequence[int], counts: Sequence[int], number: int, classes: Sequence[str]) -> Iterator[Finding]:
    names = [name for name, trains, own in zip(classes, train, counts, strict=True) if trains and not own]
    if names:
        yield Finding(
            f"class_without_{PARTS[number]}",
            "warning",
            f"Some classes have no {PARTS[number]} picture, so its scores tell nothing of them.",
            f"{len(names)} of {len(classes)}: {some(names)}",
            1.0,
            advice=f"Add {PARTS[number]} pictures of them.",
            practice="D1: the division keeps every class's share",
        )


def _few(train: Sequence[int], classes: Sequence[str]) -> Iterator[Finding]:
    few = [f"{name} {count}" for name, count in zip(classes, train, strict=True) if 0 < count < _FEW]
    if few:
        yield Finding(
            "class_with_few",
            "warning" if 2 * len(few) <= len(classes) else "note",
            f"Some classes have fewer than {_FEW} training pictures: what is learnt of them is these pictures.",
            f"{len(few)} of {len(classes)}: {some(few)}",
            0.8,
            advice="Add pictures, or start from trained weights (model.weights).",
            practice="T3: few pictures want trained weights",
        )


def _uneven(train: Sequence[int], source: Source, weighting: object) -> Iterator[Finding]:
    """Imbalance; of several labels a picture a label's rarity is no fault, so there it must be large to be told."""
    there = {name: count for name, count in zip(source.classes, train, strict=True) if count}
    if len(there) < 2 or weighting not in (None, "none"):
        return
    rarest, commonest = min(there, key=lambda name: there[name]), max(there, key=lambda name: there[name])
    ratio = there[commonest] / there[rarest]
    labels = source.train.labels
    if ratio < (_UNEVEN if labels.ndim == 1 else _VERY_UNEVEN):
        return
    balanced = class_weights("balanced", torch.as_tensor(labels), source.classes)
    yield Finding(
        "uneven_classes",
        "warning" if ratio >= _VERY_UNEVEN else "note",
        "Classes differ in their number of pictures: a model that forgets the rare ones still scores well.",
        f"{commonest} {there[commonest]:,}, {rarest} {there[rarest]:,}: {ratio:.3g} times as many. What would balance "
        f"them: {shown(balanced, source.classes)}",
        0.9,
        words="" if weighting is None else "loss.class_weights=balanced",
        advice="Look at the scores of each class, not only at the accuracy.",
        practice="L4: weights worked out from the data",
    )
