"""Images that come by in the order of their shards: several shards side by side, and shuffled within reach."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from trainer import rng
from trainer.data.passing import PassingSamples
from trainer.feed.side_by_side import SideBySide


@dataclass(frozen=True)
class SequentialStore:
    """Images that are decoded as they come by. Image i is sample rows[i], ascending.

    They are asked for in about the order of their shards (`order`), and what comes by too early is held: as many as the
    samples' reach at most. workers: threads that read and decode at a time; 0: none but this one.
    """

    samples: PassingSamples
    rows: Tensor
    labels: Tensor
    keys: Sequence[str]
    workers: int
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.samples.shape

    def __len__(self) -> int:
        return len(self.rows)

    def order(self, seed: int, epoch: int, sizes: Sequence[int]) -> Tensor:
        """All images, (N,) int64, for batches of these sizes. A function of seed, epoch and sizes alone.

        The shards, in an order by (seed, epoch), are one long row of images, which is cut into lanes that are read side
        by side: each batch has as many images of each lane, in the lanes' order, so that processes that share its rows
        share the shards. In its lane an image is late by the samples' reach at most, divided among the lanes.
        """
        passing, starts = self.samples.passing, self._starts()
        shards = rng.permutation(len(starts) - 1, seed, epoch, "shards").tolist()
        images = torch.cat([torch.arange(int(starts[shard]), int(starts[shard + 1])) for shard in shards])
        lanes = min(passing.interleave, int(starts.diff().count_nonzero()))
        ends = torch.arange(lanes + 1) * torch.tensor(sizes)[:, None] // lanes  # as Place.share divides a batch
        counts = ends.diff(dim=1).T  # (lanes, batches)
        lane = torch.arange(lanes).repeat_interleave(counts.sum(dim=1))
        late = rng.hash_words(images, seed, epoch, "shuffle").remainder(passing.reach // lanes + 1)
        place = torch.arange(len(images)) + late + lane * passing.reach  # never among the next lane's
        batch = torch.arange(len(sizes)).repeat(lanes).repeat_interleave(counts.flatten())
        return images[torch.argsort(place, stable=True)][torch.argsort(batch, stable=True)]

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        if not orders:
            return
        wanted = [self.rows[order].tolist() for order in orders]
        uses = Counter(chain.from_iterable(wanted))
        visits = self._visits(wanted)
        visit_of = {number: visit for visit, (_, numbers) in enumerate(visits) for number in numbers}
        held: dict[int, Tensor] = {}
        with closing(SideBySide([partial(self.samples.read, *each) for each in visits], self.workers)) as reading:
            for numbers in wanted:
                for number in numbers:
                    while number not in held:
                        found, image = reading.next(visit_of[number])
                        held[found] = image
                yield torch.stack([held[number] for number in numbers])
                uses.subtract(numbers)
                for number in set(numbers):
                    if not uses[number]:
                        del held[number]

    def _starts(self) -> Tensor:
        """The first image of each shard, and behind the last one how many there are."""
        return torch.searchsorted(self.rows, torch.tensor(self.samples.starts))

    def _visits(self, wanted: Sequence[Sequence[int]]) -> list[tuple[int, set[int]]]:
        """What is read of which shard, in the order in which the first of each is wanted.

        Where two lanes meet in a shard, a sample is wanted long before the one in front of it. From there on the shard
        is read by a visit of its own: or else all in front would be held until it is wanted.
        """
        first: dict[int, int] = {}
        for place, number in enumerate(chain.from_iterable(wanted)):
            first.setdefault(number, place)
        numbers = torch.tensor(sorted(first))
        places = torch.tensor([first[number] for number in numbers.tolist()])
        shards = torch.bucketize(numbers, torch.tensor(self.samples.starts[1:]), right=True)
        near = self.samples.passing.reach + 2 * max(map(len, wanted))
        cuts = (shards.diff() != 0) | (places.diff() < -near)
        begins = (cuts.nonzero().flatten() + 1).tolist()
        pieces = zip(*(torch.tensor_split(each, begins) for each in (shards, numbers, places)), strict=True)
        visits = [(int(place.min()), int(shard[0]), set(number.tolist())) for shard, number, place in pieces]
        return [(shard, numbers) for _, shard, numbers in sorted(visits, key=lambda visit: visit[0])]
