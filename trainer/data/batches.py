"""Batches on the device: shuffled and augmented for training, in order for evaluation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer import rng
from trainer.data.store import Store
from trainer.rng import Draws


@dataclass(frozen=True)
class Batch:
    """images: float (B, C, S, S) on the device; labels: int64 (B,) on the device; indices: int64 (B,) on the CPU."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class TrainBatches:
    """Full batches in an order that is a function of (seed, epoch).

    The last partial batch of an epoch is dropped (other samples each epoch); fewer samples than a batch make one
    smaller batch. What a sample looks like depends on (seed, epoch, its index) alone, not on its neighbours.
    upload: puts a tensor on the device. transform: uint8 (B, C, H, W) on the device and the batch's draws -> float
    (B, C, S, S).
    """

    def __init__(
        self,
        store: Store,
        *,
        batch_size: int,
        seed: int,
        upload: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor, Draws], Tensor],
    ) -> None:
        self.store = store
        self.batch_size = min(batch_size, len(store))
        self.seed = seed
        self.upload = upload
        self.transform = transform

    def __len__(self) -> int:
        return len(self.store) // self.batch_size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number start on; a resumed epoch goes on exactly where it stopped."""
        order = rng.permutation(len(self.store), self.seed, epoch, "shuffle")
        orders = torch.split(order, self.batch_size)[start : len(self)]
        for indices, images in zip(orders, self.store.gather(orders), strict=True):
            images = self.transform(self.upload(images), Draws(self.seed, epoch, indices))
            yield Batch(images, self.upload(self.store.labels[indices]), indices)


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
            yield Batch(self.transform(self.upload(images)), self.upload(self.store.labels[indices]), indices)
