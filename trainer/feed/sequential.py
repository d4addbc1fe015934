"""Images that come by in the order of their shards: shuffled within reach, and read ahead by threads."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, starmap

import torch
from torch import Tensor

from trainer import rng
from trainer.data.passing import PassingSamples

_AHEAD = 64
"""Images that a thread may have ready."""
_LOOK_SECONDS = 0.2
"""How often a thread that may go on to nothing sees whether it is still wanted."""
_END_SECONDS = 5.0
_Image = tuple[int, Tensor]


@dataclass(frozen=True)
class SequentialStore:
    """Images that are decoded as they come by. Image i is sample rows[i], ascending.

    They are asked for in about the order of their shards (`order`), and what comes by too early is held: as many as the
    samples' reach at most. workers: shards that are read side by side, each by a thread of its own; 0: in this one.
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

    def order(self, seed: int, epoch: int) -> Tensor:
        """All images, (N,) int64: shards in an order by (seed, epoch), each image late by the samples' reach at most.

        A function of seed and epoch alone, so that a resumed run needs its step's number only.
        """
        starts = torch.searchsorted(self.rows, torch.tensor(self.samples.starts)).tolist()
        shards = rng.permutation(len(starts) - 1, seed, epoch, "shards").tolist()
        images = torch.cat([torch.arange(starts[shard], starts[shard + 1]) for shard in shards])
        late = rng.hash_words(images, seed, epoch, "shuffle").remainder(self.samples.passing.reach + 1)
        return images[torch.argsort(torch.arange(len(images)) + late, stable=True)]

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        wanted = [self.rows[order].tolist() for order in orders]
        uses = Counter(chain.from_iterable(wanted))
        held: dict[int, Tensor] = {}
        with closing(self._passing(list(uses))) as passing:
            for numbers in wanted:
                while not held.keys() >= set(numbers):
                    number, image = next(passing)
                    held[number] = image
                yield torch.stack([held[number] for number in numbers])
                uses.subtract(numbers)
                for number in set(numbers):
                    if not uses[number]:
                        del held[number]

    def _passing(self, wanted: Sequence[int]) -> Generator[_Image, None, None]:
        """The wanted samples, shard after shard in the order in which the first of each is wanted."""
        ends = torch.tensor(self.samples.starts[1:])
        of_shard: dict[int, set[int]] = {}
        for number, shard in zip(wanted, torch.bucketize(torch.tensor(wanted), ends, right=True).tolist(), strict=True):
            of_shard.setdefault(shard, set()).add(number)
        if self.workers:
            yield from _side_by_side([partial(self.samples.read, *each) for each in of_shard.items()], self.workers)
        else:
            yield from chain.from_iterable(starmap(self.samples.read, of_shard.items()))


def _side_by_side(shards: Sequence[Callable[[], Iterator[_Image]]], workers: int) -> Iterator[_Image]:
    """What the shards give, one after the other, while so many threads read ahead: each the next that nobody reads."""
    ready: list[queue.Queue[_Image | Exception | None]] = [queue.Queue(_AHEAD) for _ in shards]
    left, stopped = queue.SimpleQueue[int](), threading.Event()
    for number in range(len(shards)):
        left.put(number)

    def put(number: int, what: _Image | Exception | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                return ready[number].put(what, timeout=_LOOK_SECONDS)
        raise _Stopped

    def work() -> None:
        with suppress(queue.Empty, _Stopped):
            while True:
                number = left.get_nowait()
                try:
                    for image in shards[number]():
                        put(number, image)
                    put(number, None)
                except _Stopped:
                    raise
                except Exception as error:  # raised where the images are wanted
                    put(number, error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(shards)))]
    for thread in threads:
        thread.start()
    try:
        for each in ready:
            while (found := each.get()) is not None:
                if isinstance(found, Exception):
                    raise found
                yield found
    finally:
        stopped.set()
        for thread in threads:
            thread.join(_END_SECONDS)  # one that waits for a network that is gone ends with the program


class _Stopped(Exception):
    """Nobody wants the images any more."""
