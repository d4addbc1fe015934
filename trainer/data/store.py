"""Where images are read from while training: memory, a file on disk, or worker processes that decode them anew."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from trainer.data.cache import BLOCK, Keep
from trainer.data.keeping import choose
from trainer.data.pack import Packed, Progress, Put, header_of, packed, threads
from trainer.data.source import ArraySamples, Samples, Subset
from trainer.data.stream import StreamedStore
from trainer.errors import DataError

_FAILURES_SHOWN = 10


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
    parts: Sequence[Samples], keep: Keep, *, workers: int, title: str = "", progress: Progress | None = None
) -> tuple[list[Store], str]:
    """A store for each part of a set, and the line that says where their images are kept (or nothing).

    Memory, disk and streaming give the same bytes. Parts of one whole (a share held out, folds) share its pixels.
    workers: threads that decode what is kept, or processes that stream; 0 does either in this thread. title: what the
    set is, for whoever looks at its files. Raises DataError with the first ten files of each whole that cannot be read
    and their number, where images are decoded now; and if they are to be kept on disk and cannot.
    """
    wholes, rows = _shared(parts)
    distinct = list({id(whole): whole for whole in wholes}.values())
    to_decode = [whole for whole in distinct if not isinstance(whole, ArraySamples)]
    headers = {id(whole): header_of(whole, title) for whole in to_decode}
    kept, note = choose(keep, list(headers.values()), to_decode[0], workers) if headers else ("ram", "")
    if kept == "none":
        return [StreamedStore(part, part.labels, part.keys, workers) for part in parts], note
    pixels: dict[int, Tensor | Packed] = {}
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
    pixels: Tensor | Packed
    rows: Tensor
    resident = True

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        for order in orders:
            yield self.pixels.index_select(0, self.rows[order])

    def __len__(self) -> int:
        return len(self.rows)


def _shared(parts: Sequence[Samples]) -> tuple[list[Samples], list[Tensor]]:
    """For each part, the samples whose pixels it shares with other parts, and the place of each of its own in them.

    Of a whole that the parts need in part only, there remains what they need.
    """
    found = [_whole(part) for part in parts]
    bases: dict[int, tuple[Samples, Tensor]] = {}
    for whole, _ in found:
        needed = torch.unique(torch.cat([rows for other, rows in found if other is whole]))
        enough = isinstance(whole, ArraySamples) or len(needed) == len(whole)
        bases.setdefault(id(whole), (whole, torch.arange(len(whole))) if enough else (Subset(whole, needed), needed))
    wholes = [bases[id(whole)][0] for whole, _ in found]
    return wholes, [torch.searchsorted(bases[id(whole)][1], rows) for whole, rows in found]


def _whole(samples: Samples) -> tuple[Samples, Tensor]:
    """What the samples are a subset of, or they themselves, and each sample's place in it."""
    if not isinstance(samples, Subset):
        return samples, torch.arange(len(samples))
    whole, rows = _whole(samples.whole)
    return whole, rows[samples.indices]


def _in_memory(samples: Samples, fill: Callable[[Put], None]) -> Tensor:
    """The samples' images, uint8 (N, C, H, W)."""
    if isinstance(samples, ArraySamples):
        return samples.pixels
    pixels = torch.empty(len(samples), *samples.shape, dtype=torch.uint8)

    def put(first: int, images: Tensor) -> None:
        pixels[first : first + len(images)] = images

    fill(put)
    return pixels


def _decode_all(samples: Samples, workers: int, progress: Progress | None, put: Put) -> None:
    """Puts all images, a block at a time. Raises DataError with those that cannot be read."""

    def decode(start: int) -> list[str]:
        failures = []
        images = torch.zeros(min(BLOCK, len(samples) - start), *samples.shape, dtype=torch.uint8)
        for place, image in enumerate(images):
            try:
                image.copy_(samples.image(start + place))
            except DataError as error:
                failures.append(str(error))
        put(start, images)
        return failures

    starts = range(0, len(samples), BLOCK)
    failures: list[str] = []
    most = threads(workers, math.prod(samples.shape))
    with ThreadPoolExecutor(most) as pool:  # Pillow releases the GIL while it decodes
        for start, failed in zip(starts, pool.map(decode, starts) if workers else map(decode, starts), strict=True):
            failures += failed
            if progress:
                progress("Reading images", min(start + BLOCK, len(samples)), len(samples))
    if failures:
        advice = "Mend or remove them; data=folder and data=table leave them out if you say data.on_error=skip"
        raise DataError(f"{unreadable_in_words(failures, len(samples))}\n{advice}")


def unreadable_in_words(failures: Sequence[str], total: int) -> str:
    """How many of the images cannot be read, and the first ten with their reasons, one a line."""
    more = len(failures) - _FAILURES_SHOWN
    lines = [*failures[:_FAILURES_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    return "\n  ".join([f"{len(failures)} of {total} images cannot be read:", *lines])
