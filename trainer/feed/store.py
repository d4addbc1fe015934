"""Where images are read from while training: memory, a file on disk, or worker processes that decode them anew."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainer.data.keep import Keep
from trainer.data.passing import PassingSamples
from trainer.data.source import ArraySamples, Samples, Subset
from trainer.data.unreadable import unreadable_in_words
from trainer.errors import DataError
from trainer.feed.cache import BLOCK
from trainer.feed.keeping import choose
from trainer.feed.pack import Packed, Pixels, Progress, Put, blocks_held, header_of, packed
from trainer.feed.sequential import SequentialStore
from trainer.feed.stream import StreamedStore

_TURN = 4
"""Images that a thread decodes before it takes the next ones."""


class Store(Protocol):
    """The images of some samples, by index."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64 on the CPU."""

    @property
    def keys(self) -> Sequence[str]:
        """(N,) the samples' stable names."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    @property
    def resident(self) -> bool:
        """Whether the images are decoded already, in memory or on disk."""

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        """For each order, (B,) int64, its images in that order: uint8 (B, C, H, W)."""

    def __len__(self) -> int: ...


def open_stores(
    parts: Sequence[Samples],
    keep: Keep,
    *,
    workers: int,
    title: str = "",
    progress: Progress | None = None,
    processes: int = 1,
) -> tuple[list[Store], str]:
    """A store for each part of a set, and the line that says where their images are kept (or nothing).

    Memory, disk and streaming give the same bytes. Parts of one whole (a share held out, folds) share its pixels.
    workers: threads that decode what is kept, or processes that stream; 0 does either in this thread. title: what the
    set is, for whoever looks at its files. processes: of this machine, that open the same. Raises DataError with the
    first ten files of each whole that cannot be read and their number, where images are decoded now; and if they are to
    be kept on disk and cannot.
    """
    found = [whole_of(part) for part in parts]
    if any(isinstance(whole, PassingSamples) for whole, _ in found):
        return [
            SequentialStore(whole, rows, part.labels, part.keys, workers)
            for part, (whole, rows) in zip(parts, found, strict=True)
            if isinstance(whole, PassingSamples)  # of one set all are
        ], "data.streaming=true: the images are read and decoded anew each epoch, in about the order of their shards."
    wholes, rows = _shared(parts)
    distinct = list({id(whole): whole for whole in wholes}.values())
    to_decode = [whole for whole in distinct if not isinstance(whole, ArraySamples)]
    headers = {id(whole): header_of(whole, title) for whole in to_decode}
    kept, note = choose(keep, list(headers.values()), to_decode[0], workers, processes) if headers else ("ram", "")
    if kept == "none":
        return [StreamedStore(part, part.labels, part.keys, workers) for part in parts], note
    pixels: dict[int, Pixels | Packed] = {}
    errors = []
    for whole in distinct:
        fill = partial(_decode_all, whole, workers, progress)
        try:
            if kept == "disk" and id(whole) in headers:
                pixels[id(whole)] = packed(headers[id(whole)], keep.folder, keep.limit, fill, workers, progress)
            else:
                pixels[id(whole)] = _in_memory(whole, fill)
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError("\n".join(errors))
    return [
        ResidentStore(part.labels, part.keys, pixels[id(whole)], places)
        for part, whole, places in zip(parts, wholes, rows, strict=True)
    ], note


@dataclass(frozen=True)
class ResidentStore:
    """All images decoded: uint8 (N, C, H, W) in memory, or on disk.

    Image i is its row rows[i], so that a subset shares the pixels of its whole.
    """

    labels: Tensor
    keys: Sequence[str]
    pixels: Pixels | Packed
    rows: Tensor
    resident = True

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        for order in orders:
            yield torch.from_numpy(self.pixels.take(self.rows[order].numpy(), axis=0))

    def __len__(self) -> int:
        return len(self.rows)


def _shared(parts: Sequence[Samples]) -> tuple[list[Samples], list[Tensor]]:
    """For each part, the samples whose pixels it shares with other parts, and the place of each of its own in them.

    Of a whole that the parts need in part only, there remains what they need.
    """
    found = [whole_of(part) for part in parts]
    bases: dict[int, tuple[Samples, Tensor]] = {}
    for whole, _ in found:
        needed = torch.unique(torch.cat([rows for other, rows in found if other is whole]))
        enough = isinstance(whole, ArraySamples) or len(needed) == len(whole)
        bases.setdefault(id(whole), (whole, torch.arange(len(whole))) if enough else (Subset(whole, needed), needed))
    wholes = [bases[id(whole)][0] for whole, _ in found]
    return wholes, [torch.searchsorted(bases[id(whole)][1], rows) for whole, rows in found]


def whole_of(samples: Samples) -> tuple[Samples, Tensor]:
    """What the samples are a subset of, or they themselves, and each sample's place in it."""
    if not isinstance(samples, Subset):
        return samples, torch.arange(len(samples))
    whole, rows = whole_of(samples.whole)
    return whole, rows[samples.indices]


def _in_memory(samples: Samples, fill: Callable[[Put], None]) -> Pixels:
    """The samples' images, in the memory of the samples themselves if they are an array."""
    if isinstance(samples, ArraySamples):
        return samples.pixels.contiguous().numpy()
    pixels = np.empty((len(samples), *samples.shape), np.uint8)

    def put(first: int, images: Pixels) -> None:
        pixels[first : first + len(images)] = images

    fill(put)
    return pixels


def _decode_all(samples: Samples, workers: int, progress: Progress | None, put: Put) -> None:
    """Puts all images, a block at a time, in order. Raises DataError with those that cannot be read.

    The threads share each block, and begin the next ones before it is whole: none is idle until the last few images.
    """

    def decode(block: Pixels, start: int, turn: int) -> list[str]:
        failures = []
        for place in range(turn, min(turn + _TURN, len(block))):
            try:
                block[place] = samples.image(start + place).numpy()
            except DataError as error:
                failures.append(str(error))
        return failures

    starts = range(0, len(samples), BLOCK)
    held = blocks_held(1 + math.ceil(workers * _TURN / BLOCK), math.prod(samples.shape))
    failures: list[str] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:  # Pillow releases the GIL while it decodes

        def begin(start: int) -> tuple[Pixels, Iterator[list[str]]]:
            block = np.zeros((min(BLOCK, len(samples) - start), *samples.shape), np.uint8)
            turns, work = range(0, len(block), _TURN), partial(decode, block, start)
            return block, pool.map(work, turns) if workers else map(work, turns)

        to_come = map(begin, starts)
        begun = deque(islice(to_come, held - 1))
        for start in starts:
            begun.extend(islice(to_come, 1))
            block, failed = begun.popleft()
            failures += chain.from_iterable(failed)
            put(start, block)
            if progress:
                progress("Reading images", start + len(block), len(samples))
    if failures:
        advice = (
            "Mend or remove them; data=folder, table, hf and webdataset leave them out if you say data.on_error=skip"
        )
        raise DataError(f"{unreadable_in_words(failures, len(samples))}\n{advice}")
