"""The works, stated once: every contestant takes its images, model, transforms, optimizer and schedule from here.

What a library says in other words is given in the nearest ones: timm has no one-cycle schedule and takes its warm-up
with a cosine; fastai's zoom moves the centre, which stands for the shift.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from trainer.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training of a model on images; all lengths in pixels."""

    name: str
    model: str
    options: Mapping[str, int] = field(default_factory=dict)
    classes: int
    channels: int
    size: int
    train: int
    """Training images; a multiple of batch_size, so that nobody drops or splits a batch."""
    val: int
    epochs: int
    batch_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    # Augmentation, in training only. Validation sees the centre square, resized.
    flip: float = 0.5
    crop: tuple[float, float] = (1.0, 1.0)
    """Share of the area that a random crop keeps."""
    aspect: tuple[float, float] = (1.0, 1.0)
    """And its width over its height."""
    rotate: float = 0.0
    """Degrees, in either direction."""
    shift: float = 0.0
    """A share of the side, in either direction."""
    zoom: float = 1.0
    """The greatest magnification, its inverse the smallest. What these three find beyond the edges is black."""

    # AdamW, whose rate goes up and down along one cycle of cosines, step by step.
    lr: float = 0.003
    weight_decay: float = 0.01
    warmup: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    @property
    def steps(self) -> int:
        return self.epochs * self.train // self.batch_size

    def network(self) -> nn.Module:
        """The trainer's own module, the same for everyone."""
        model: nn.Module = MODELS.builder(self.model)(self.classes, self.channels, **self.options)
        return model


PHOTOGRAPHS = Task(
    name="photographs",
    model="xresnet18",
    classes=2,
    channels=3,
    size=128,
    train=480,
    val=128,
    epochs=2,
    batch_size=32,
    mean=(0.485, 0.456, 0.406),  # of ImageNet, for everyone
    std=(0.229, 0.224, 0.225),
    crop=(0.35, 1.0),
    aspect=(3 / 4, 4 / 3),
    lr=0.001,
)
"""JPEGs of 500 px on the short side, in class folders."""

FASHION = Task(
    name="fashion",
    model="small_cnn",
    classes=10,
    channels=1,
    size=28,
    train=20_480,
    val=2_560,
    epochs=3,
    batch_size=128,
    mean=(0.2860,),
    std=(0.3530,),
    rotate=10.0,
    shift=0.06,
    zoom=1.1,
)
"""The first images of Fashion-MNIST, in its four IDX files."""

PREPARED = 160
"""The short side that is enough for crops of 128 px: what a decoder may shrink to on the way."""


def _tiny(task: Task) -> Task:
    return replace(task, train=2 * task.batch_size, val=task.batch_size, epochs=1)


TASKS = {task.name: task for task in (PHOTOGRAPHS, FASHION)}
if os.environ.get("TINY") == "1":  # to see that every contestant runs; such figures say nothing
    TASKS = {name: _tiny(task) for name, task in TASKS.items()}
