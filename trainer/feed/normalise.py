"""What is subtracted from the images and what they are divided by, measured on the training images where it must be."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer import rng
from trainer.data.source import Source
from trainer.feed.store import Store
from trainer.rng import Draws
from trainer.size import Size

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
"""Those that torchvision's weights were trained with: of RGB in [0, 1]."""
_CHUNK = 256
_LEVELS = 256
_MOST_VALUES = 2**28
"""How many values are counted: all of CIFAR-10, 3,500 images of 160 pixels. Decoding more would keep a run waiting."""


@dataclass(frozen=True)
class Normalisation:
    """(x - mean) / std for x in [0, 1], one number a channel; then minus mean_image, (C, H, W), where there is one."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean_image: Tensor | None = None

    def plain(self) -> dict[str, Any]:
        """As run.json holds it: the mean image as float32, row by row, in base64."""
        result: dict[str, Any] = {"mean": self.mean, "std": self.std}
        if self.mean_image is not None:
            result["mean_image"] = b64encode(self.mean_image.numpy().tobytes()).decode()
        return result

    def undone(self, images: Tensor) -> Tensor:
        """Normalised (B, C, H, W) back to values of 0 to 1, where augmentation has not driven them out."""
        if self.mean_image is not None:
            images = images + self.mean_image.to(images.device)
        mean, std = (torch.tensor(each, device=images.device)[:, None, None] for each in (self.mean, self.std))
        return images * std + mean


def centred(transform: Callable[..., Tensor], image: Tensor) -> Callable[..., Tensor]:
    """The transform, with the mean image subtracted from all that comes out of it."""

    def apply(images: Tensor, draws: Draws | None = None) -> Tensor:
        return transform(images, draws).sub_(image)

    return apply


def measure(store: Store, source: Source) -> Normalisation:
    """The normalisation that the source names, from the training images, which are in the store.

    none: only x / 255. mean: minus each channel's mean. mean_image: minus the mean of the images, pixel by pixel.
    mean_std: minus each channel's mean, divided by its standard deviation over all pixels. imagenet: the figures that
    pretrained weights expect. given: the source's own figures.
    """
    method, channels = source.normalise, store.shape[0]
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    if method == "none":
        return Normalisation(zeros, ones)
    if method == "given":
        assert source.figures is not None
        return Normalisation(*source.figures)
    if method == "imagenet":
        return Normalisation(_IMAGENET_MEAN, _IMAGENET_STD)
    if method == "mean_image":
        return Normalisation(zeros, ones, mean_image(store, source.size))
    mean, std = mean_and_std(store)
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()) if method == "mean_std" else ones)


def mean_and_std(store: Store) -> tuple[Tensor, Tensor]:
    """Two (C,) float32 tensors in units of [0, 1], the population's over all pixels of the images that are counted.

    Pixels are counted by level, so the sums are exact. A constant channel gets a std of 1/255, not 0.
    """
    counts = torch.zeros(store.shape[0], _LEVELS, dtype=torch.int64)
    for images in store.gather(_counted(store)):
        for channel in range(images.shape[1]):
            counts[channel] += torch.bincount(images[:, channel].flatten(), minlength=_LEVELS)
    levels = torch.arange(_LEVELS, dtype=torch.float64) / (_LEVELS - 1)
    weights = counts / counts.sum(1, keepdim=True, dtype=torch.float64)  # (C, 256)
    mean = weights @ levels
    variance = (weights * (levels - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp(min=1 / (_LEVELS - 1)).float()


def mean_image(store: Store, size: Size) -> Tensor:
    """(C, *size) float32 in [0, 1]: the mean of the images that are counted, at the size that the model sees."""
    orders = _counted(store)
    sums = torch.zeros(store.shape, dtype=torch.int64)
    for images in store.gather(orders):
        sums += images.sum(0, dtype=torch.int64)
    mean = sums.double() / (sum(map(len, orders)) * (_LEVELS - 1))
    if tuple(mean.shape[1:]) == size:
        return mean.float()
    return F.interpolate(mean[None], size, mode="bilinear", antialias=True, align_corners=False)[0].float()


def _counted(store: Store) -> list[Tensor]:
    """All images, or a fixed sample where they are many: a function of their number and shape, not of the store."""
    most = max(1, _MOST_VALUES // torch.Size(store.shape).numel())
    chosen = torch.arange(len(store))
    if most < len(store):
        chosen = rng.permutation(len(store), "statistics")[:most].sort().values
    return list(torch.split(chosen, _CHUNK))
