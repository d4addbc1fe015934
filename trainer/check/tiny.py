"""A tiny network that learns a set's small pictures in seconds, to try what an option does to it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer import rng
from trainer.check.seen import Seen

_MOST = 3000
_MOST_OF_A_CLASS = 300
_LEAST_OF_A_CLASS = 8
_LEARNT = 0.7
"""Share of the pictures that are learnt; the others judge."""
_BATCH = 64
_STEPS = 250
_LR = 0.01
_SHIFT = 2
"""Pixels by which a batch is moved, so that few pictures are not learnt by heart."""
_LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Lesson:
    """Small pictures to learn and others to judge by, of classes with enough of them."""

    classes: tuple[str, ...]
    images: Tensor
    """(N, 3, 32, 32) float32, of mean 0 and std 1."""
    labels: Tensor
    """(N,) int64, of these classes."""
    learnt: Tensor
    judged: Tensor
    """Indices into them."""

    @property
    def truth(self) -> Tensor:
        """The labels of those that judge."""
        return self.labels[self.judged]

    @property
    def in_words(self) -> str:
        return f"a tiny network, {len(self.learnt):,} pictures learnt, {len(self.judged):,} judged"


@dataclass(frozen=True)
class Answers:
    """What a tiny network says of the pictures that judge, as they are and mirrored: (J,) int64 each."""

    plain: Tensor
    mirrored: Tensor


@dataclass(frozen=True)
class Gain:
    """How much better one network is than another on the same pictures."""

    one: float
    other: float
    """Accuracies."""
    errors: float
    """Their difference in standard errors (McNemar 1947: only pictures count of which one of the two is right)."""

    @property
    def difference(self) -> float:
        return self.one - self.other


def lesson_of(seen: Seen, classes: tuple[str, ...], *, grey: bool) -> Lesson | None:
    """What the network learns: of the training and validation pictures as many of each class.

    None where there are no two classes with pictures enough, or pictures have several labels. grey: as the run sees
    them.
    """
    labels = np.array([own[0] if own is not None and len(own) == 1 else -1 for own in seen.classes], np.int64)
    if any(own is not None and len(own) != 1 for own in seen.classes):
        return None
    labels[seen.parts == 2] = -1
    most = max(_LEAST_OF_A_CLASS, min(_MOST_OF_A_CLASS, _MOST // len(classes)))
    learnt, judged, names = list[NDArray[np.int64]](), list[NDArray[np.int64]](), list[str]()
    renamed = np.full(len(labels), -1, np.int64)
    for label, name in enumerate(classes):
        own = np.flatnonzero(labels == label)
        if len(own) < _LEAST_OF_A_CLASS:
            continue
        own = own[rng.permutation(len(own), "lesson", name).numpy()[:most]]
        renamed[own] = len(names)
        names.append(name)
        cut = int(len(own) * _LEARNT)
        learnt.append(own[:cut])
        judged.append(own[cut:])
    if len(names) < 2:
        return None
    rows = np.concatenate([*learnt, *judged])
    images = torch.from_numpy(seen.small[rows]).permute(0, 3, 1, 2).float()
    images = (images * _LUMA[:, None, None]).sum(1, keepdim=True).expand(-1, 3, -1, -1) if grey else images
    images = (images - images.mean()) / images.std().clamp(min=1)
    count = sum(map(len, learnt))
    return Lesson(
        tuple(names), images, torch.from_numpy(renamed[rows]), torch.arange(count), torch.arange(count, len(rows))
    )


def taught(lesson: Lesson, *, mirrors: bool = False) -> Answers:
    """The answers after a training of seconds, the same every time. mirrors: half of its pictures are mirrored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _network(len(lesson.classes)).to(memory_format=torch.channels_last)
    draws = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=_STEPS)
    for _ in range(_STEPS):
        rows = lesson.learnt[torch.randint(len(lesson.learnt), (_BATCH,), generator=draws)]
        down, across = torch.randint(-_SHIFT, _SHIFT + 1, (2,), generator=draws).tolist()
        turned = torch.rand(_BATCH, generator=draws) < 0.5
        images = lesson.images[rows].roll((down, across), (2, 3))
        if mirrors:
            images = torch.where(turned[:, None, None, None], images.flip(3), images)
        loss = cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), lesson.labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        shown = lesson.images[lesson.judged]
        return Answers(model(shown).argmax(1), model(shown.flip(3)).argmax(1))


def gain(one: Tensor, other: Tensor, truth: Tensor) -> Gain:
    """Of one's answers over the other's."""
    right, others_right = one == truth, other == truth
    better, worse = int((right & ~others_right).sum()), int((others_right & ~right).sum())
    errors = (better - worse) / max(1, better + worse) ** 0.5
    return Gain(right.double().mean().item(), others_right.double().mean().item(), errors)


def _network(num_classes: int) -> nn.Module:
    """Three convolutions on 16, 16 and 8 pixels a side: 15 to 25 ms a step on a core."""
    return nn.Sequential(
        *_convolution(3, 16, 5, 2),
        *_convolution(16, 32, 3, 1),
        nn.MaxPool2d(2),
        *_convolution(32, 64, 3, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, num_classes),
    )


def _convolution(before: int, width: int, side: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(before, width, side, stride, side // 2, bias=False)
    return convolution, nn.BatchNorm2d(width), nn.ReLU()
