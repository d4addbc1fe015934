"""Batches on the device: shuffled and augmented for training, in order for evaluation."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer import rng
from trainer.feed.store import Store
from trainer.rng import Draws


@dataclass(frozen=True)
class Batch:
    """What a step works on; all but the indices lie on the device."""

    images: Tensor
    """(B, C, S, S), of the type that autocast computes in: float32, bfloat16 or float16."""
    labels: Tensor
    """(B,) int64, the samples' own: for the accuracy."""
    targets: Tensor
    """What the loss is told: the labels, or where samples were mixed, soft ones, (B, classes) float."""
    indices: Tensor
    """(B,) int64 on the CPU."""


class TrainBatches:
    """Every sample once an epoch, in an order that is a function of (seed, epoch).

    Batches differ by one sample at most: where batch_size does not divide the set, all are a little smaller, and none
    is dropped or tiny. Their number is a multiple of `accumulate`. What a sample looks like depends on (seed, epoch,
    its index) alone, not on its neighbours; if they are mixed, on the set of them as well.
    item: one uint8 image (C, H, W) on the CPU -> another; it may draw from torch's global generator. upload: puts a
    tensor on the device. transform: uint8 (B, C, H, W) on the device and the batch's draws -> float (B, C, S, S).
    mix: what transform gave, the labels and the draws -> mixed images and soft targets.
    """

    def __init__(
        self,
        store: Store,
        *,
        batch_size: int,
        seed: int,
        accumulate: int = 1,
        upload: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor, Draws], Tensor],
        item: Callable[[Tensor], Tensor] | None = None,
        mix: Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.store = store
        steps = math.ceil(len(store) / (batch_size * accumulate))
        self.num_batches = min(steps * accumulate, len(store))
        self.batch_size = math.ceil(len(store) / self.num_batches)
        self.seed = seed
        self.upload = upload
        self.transform = transform
        self.item = item
        self.mix = mix

    def __len__(self) -> int:
        return self.num_batches

    def orders(self, epoch: int) -> tuple[Tensor, ...]:
        """The samples of each batch of an epoch."""
        order = rng.permutation(len(self.store), self.seed, epoch, "shuffle")
        return torch.tensor_split(order, self.num_batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number start on; a resumed epoch goes on exactly where it stopped."""
        orders = self.orders(epoch)[start:]
        for indices, images in zip(orders, self.store.gather(orders), strict=True):
            draws = Draws(self.seed, epoch, indices)
            if self.item is not None:
                images = one_by_one(self.item, images, draws)
            images = self.transform(self.upload(images), draws)
            targets = labels = self.upload(self.store.labels[indices])
            if self.mix is not None:
                images, targets = self.mix(images, labels, draws)
            yield Batch(images, labels, targets, indices)


def one_by_one(item: Callable[[Tensor], Tensor], images: Tensor, draws: Draws) -> Tensor:
    """The images (B, C, H, W), each after item, with torch's global generator seeded for it alone and then put back.

    In this process, whether the images are resident or streamed: the same bits, at 0.1 to 1 ms an image.
    """
    seeds = (rng.seed_of(draws.seed, draws.epoch, sample, "item") for sample in draws.samples.tolist())
    with torch.random.fork_rng(devices=[]):
        return torch.stack([_seeded(item, image, seed) for image, seed in zip(images, seeds, strict=True)])


def _seeded(item: Callable[[Tensor], Tensor], image: Tensor, seed: int) -> Tensor:
    torch.default_generator.manual_seed(seed)
    return item(image)


class EvalBatches:
    """All samples in their order, the last batch partial. transform: uint8 (B, C, H, W) -> float (B, C, S, S)."""

    def __init__(
        self,
        store: Store,
        *,
        batch_size: int,
        upload: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor], Tensor],
    ) -> None:
        self.store = store
        self.batch_size = batch_size
        self.upload = upload
        self.transform = transform

    def __len__(self) -> int:
        return -(-len(self.store) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        orders = torch.split(torch.arange(len(self.store)), self.batch_size)
        for indices, images in zip(orders, self.store.gather(orders), strict=True):
            labels = self.upload(self.store.labels[indices])
            yield Batch(self.transform(self.upload(images)), labels, labels, indices)
