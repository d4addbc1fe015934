"""What every data part returns: the class names, and the samples of each part of the set."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trainer.data.decode import Frame
from trainer.data.keep import Keep
from trainer.errors import DataError
from trainer.schema import Denoise, Normalised
from trainer.size import Size, size_of


class Samples(Protocol):
    """Some images with labels. All images have the same shape; `image` may be called from threads and processes."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64, each an index into the source's classes, or -1 for 'ignored in the loss'.

        Of several labels a picture (N, classes) int8: 1, 0, or -1 for 'unknown'.
        """

    @property
    def keys(self) -> Sequence[str]:
        """(N,) names that stay the same wherever the data lies: they decide splits and the fingerprint."""

    @property
    def groups(self) -> Sequence[str] | None:
        """(N,) names, as lasting as keys, of what the images of one name share and no two parts may; None: nothing."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    def image(self, index: int) -> Tensor:
        """uint8 (C, H, W). Raises DataError with the file's name if it cannot be read."""

    def digest(self) -> bytes:
        """A checksum of what the pixels come from, cheap enough for every start: file sizes, or the array itself."""

    def version(self) -> bytes:
        """As digest, but of this place and moment: it changes whenever a pixel may have, so decoded copies go by it."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class ArraySamples:
    """Samples whose pixels are at hand: uint8 (N, C, H, W)."""

    pixels: Tensor
    labels: Tensor
    keys: Sequence[str]
    groups: Sequence[str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def image(self, index: int) -> Tensor:
        return self.pixels[index]

    def digest(self) -> bytes:
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.pixels.contiguous().numpy().data).digest()

    def version(self) -> bytes:
        return self.digest()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Subset:
    """Some of other samples: those at indices, (M,) int64, in that order."""

    whole: Samples
    indices: Tensor

    @property
    def labels(self) -> Tensor:
        return self.whole.labels[self.indices]

    @property
    def keys(self) -> Sequence[str]:
        keys = self.whole.keys
        return [keys[index] for index in self.indices.tolist()]

    @property
    def groups(self) -> Sequence[str] | None:
        groups = self.whole.groups
        return None if groups is None else [groups[index] for index in self.indices.tolist()]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.whole.shape

    def image(self, index: int) -> Tensor:
        return self.whole.image(int(self.indices[index]))

    def digest(self) -> bytes:
        return self._digest(self.whole.digest())

    def version(self) -> bytes:
        return self._digest(self.whole.version())

    def __len__(self) -> int:
        return len(self.indices)

    def _digest(self, whole: bytes) -> bytes:
        return hashlib.sha256(whole + self.indices.to(torch.int64).numpy().tobytes()).digest()


def images_of_each(labels: Tensor, num_classes: int) -> Tensor:
    """(C,) int64: how many images are of each class. labels: as Samples has them."""
    if labels.ndim == 2:
        return (labels > 0).sum(dim=0)
    return torch.bincount(labels[labels >= 0], minlength=num_classes)


def classes_of_each(labels: Tensor) -> list[tuple[int, ...] | None]:
    """The classes of each image; None where nothing is known of it. labels: as Samples has them."""
    if labels.ndim == 1:
        return [(label,) if label >= 0 else None for label in labels.tolist()]
    known = (labels >= 0).any(dim=1).tolist()
    found: list[list[int]] = [[] for _ in known]
    for image, label in (labels > 0).nonzero().tolist():
        found[image].append(label)
    return [tuple(each) if is_known else None for each, is_known in zip(found, known, strict=True)]


class Figures(NamedTuple):
    """What is subtracted from x / 255 and what that is divided by, one number a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Source:
    """A data set as it is trained on: val is never None (a share of train was held out where the set has none)."""

    classes: tuple[str, ...]
    train: Samples
    val: Samples
    test: Samples | None
    size: Size
    """Of what the model sees; images may be a little larger, and the warp samples them down. A number is a square."""
    keep: Keep = field(default_factory=Keep)
    """Where decoded images are kept."""
    normalise: Normalised = "mean_std"
    """What is subtracted from the images, and what they are divided by: see normalise.py."""
    notes: tuple[str, ...] = ()
    """What was decided or left out on the way, one line each, for the user to read before the run."""
    losses: tuple[str, ...] = ()
    """Those of the notes that tell what was left out: an error that comes later tells it too."""
    frame: Frame | None = None
    """How a file becomes an image of this set; None where the set's own pixels are taken as they are."""
    denoise: Denoise = "none"
    """The filter that the images have been through."""
    left_out: tuple[str, ...] = ()
    """Each file that could not be read and was therefore left out, with the reason."""
    figures: Figures | None = None
    """Those of normalise='given'."""

    def __post_init__(self) -> None:
        """Raises DataError for a label that is no class, whoever has read it."""
        object.__setattr__(self, "size", size_of(self.size))  # a part of your own may give a number
        for samples in (self.train, self.val, *([self.test] if self.test is not None else [])):
            labels = samples.labels
            most = len(self.classes) - 1 if labels.ndim == 1 else 1
            assert labels.ndim == 1 or labels.shape[1] == len(self.classes), labels.shape
            out_of_range = (labels < -1) | (labels > most)
            wrong = out_of_range.reshape(len(labels), -1).any(dim=1).nonzero().flatten().tolist()
            if wrong:
                more = f", and {len(wrong) - 1} more are out of range" if len(wrong) > 1 else ""
                known = f"With {most + 1} classes a label is 0 to {most}, or -1 to be ignored"
                raise DataError(
                    f"Image {samples.keys[wrong[0]]} has the label {labels[wrong[0]].tolist()}{more}. "
                    f"{known if labels.ndim == 1 else 'Of several labels each is 1, 0, or -1 for unknown'}: "
                    f"mend the data part."
                )

    @property
    def channels(self) -> int:
        return self.train.shape[0]
