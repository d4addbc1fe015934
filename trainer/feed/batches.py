"""Batches on the device: shuffled and augmented for training, in order for evaluation."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from trainer import rng
from trainer.aug.mixing import partners
from trainer.feed.sequential import SequentialStore
from trainer.feed.store import Store
from trainer.parallel.place import ONE, Place
from trainer.rng import Draws


@dataclass(frozen=True)
class Batch:
    """What a step works on; all but the indices lie on the device. Of one of several processes: its share of that."""

    images: Tensor
    """(B, C, H, W), of the type that autocast computes in: float32, bfloat16 or float16."""
    labels: Tensor
    """(B, …), the samples' own, as the task has them: for the score."""
    targets: Tensor
    """What the loss is told: the labels, or where samples were mixed, soft ones, (B, classes) float."""
    indices: Tensor
    """(B,) int64 on the CPU: of the whole batch, whoever works on it."""


class TrainBatches:
    """Every sample once an epoch, in an order that is a function of (seed, epoch).

    The epoch is divided into as few steps as hold batch_size * accumulate samples at most, and each step into as few
    batches as hold batch_size. Steps differ by one sample at most, and so do batches: where the set does not fill them,
    all are a little smaller, and none is dropped or tiny. What a sample looks like depends on (seed, epoch, its index)
    alone, not on its neighbours; if they are mixed, on the set of them as well.
    item: one uint8 image (C, H, W) on the CPU -> another; it may draw from torch's global generator. upload: puts a
    tensor on the device. transform: uint8 (B, C, H, W) on the device and the batch's draws -> float (B, C, H', W').
    mix: what transform gave, the labels, the draws and each row's partner -> mixed images and soft targets.
    place: of the process, which works on its share of each batch: batches are the same whatever their number.
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
        mix: Callable[[Tensor, Tensor, Draws, Tensor | None], tuple[Tensor, Tensor]] | None = None,
        place: Place = ONE,
    ) -> None:
        self.store = store
        steps = -(-len(store) // (batch_size * accumulate))
        fewest, larger = divmod(len(store), steps)
        sizes = [fewest + 1] * larger + [fewest] * (steps - larger)  # as tensor_split divides them
        most = -(-sizes[0] // batch_size)
        self.per_step = tuple(min(most, size) for size in sizes)
        """How many batches each step of an epoch is made of."""
        self.batch_size = -(-sizes[0] // most)
        """Of the largest batch."""
        self.seed = seed
        self.upload = upload
        self.transform = transform
        self.item = item
        self.mix = mix
        self.place = place

    @property
    def beside(self) -> bool:
        """Whether a thread may prepare them beside the steps: not what draws from torch's global generator."""
        return self.item is None

    @property
    def whole(self) -> "TrainBatches":
        """The same, as a process that is alone has them."""
        found = copy(self)
        found.place = ONE
        return found

    def __len__(self) -> int:
        return sum(self.per_step)

    def orders(self, epoch: int) -> tuple[Tensor, ...]:
        """The samples of each batch of an epoch."""
        if isinstance(self.store, SequentialStore):
            order = self.store.order(
                self.seed, epoch, [len(each) for each in self._divided(torch.arange(len(self.store)))]
            )
        else:
            order = rng.permutation(len(self.store), self.seed, epoch, "shuffle")
        return self._divided(order)

    def _divided(self, order: Tensor) -> tuple[Tensor, ...]:
        steps = torch.tensor_split(order, len(self.per_step))
        return tuple(chain.from_iterable(map(torch.tensor_split, steps, self.per_step)))

    def samples(self, epoch: int, step: int) -> Tensor:
        """Those of one step of an epoch."""
        first = sum(self.per_step[:step])
        return torch.cat(self.orders(epoch)[first : first + self.per_step[step]])

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number start on; a resumed epoch goes on exactly where it stopped."""
        orders = self.orders(epoch)[start:]
        shares = [self._share(whole, epoch) for whole in orders]
        gathered = self.store.gather([indices for indices, _ in shares])
        for whole, (indices, partner), images in zip(orders, shares, gathered, strict=True):
            draws = Draws(self.seed, epoch, indices)
            if self.item is not None:
                images = one_by_one(self.item, images, draws)
            images = self.transform(self.upload(images), draws)
            targets = labels = self.upload(self.store.labels[indices])
            if self.mix is not None:
                images, targets = self.mix(images, labels, draws, partner)
            own = slice(len(whole[self.place.share(len(whole))]))
            yield Batch(images[own], labels[own], targets[own], whole)

    def _share(self, whole: Tensor, epoch: int) -> tuple[Tensor, Tensor | None]:
        """The samples that this process prepares of a batch: its own, and if they are mixed their partners after them.

        And the row of each one's partner among them; None where it is found among all.
        """
        own = self.place.share(len(whole))
        if self.mix is None or self.place.is_alone:
            return whole[own], None
        partner = whole[partners(Draws(self.seed, epoch, whole))[own]]
        return torch.cat([whole[own], partner]), torch.arange(len(partner), 2 * len(partner)).repeat(2)


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
    """All samples in their order, the last batch partial. transform: uint8 (B, C, H, W) -> float (B, C, H', W').

    samples: (N,) those that are meant; None is all. place: of the process, which answers its even share of each batch.
    """

    def __init__(
        self,
        store: Store,
        *,
        batch_size: int,
        upload: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor], Tensor],
        samples: Tensor | None = None,
        place: Place = ONE,
    ) -> None:
        self.store = store
        self.batch_size = batch_size
        self.upload = upload
        self.transform = transform
        self.samples = torch.arange(len(store)) if samples is None else samples
        self.place = place

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        orders = torch.split(self.samples, self.batch_size)
        shares = [order[self.place.even_share(len(order))] for order in orders]
        for indices, images in zip(orders, self.store.gather(shares), strict=True):
            labels = self.upload(self.store.labels[indices])
            yield Batch(self.transform(self.upload(images)), labels, labels, indices)

    def few(self, count: int) -> "EvalBatches":
        """So many of the samples, evenly spread: a set may lie in the order of its classes. All if there are fewer."""
        count = min(count, len(self.samples))
        return EvalBatches(
            self.store,
            batch_size=self.batch_size,
            upload=self.upload,
            transform=self.transform,
            samples=self.samples[torch.arange(count) * len(self.samples) // count],
            place=self.place,
        )
