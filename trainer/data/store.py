"""Where images are read from while training: from memory, or decoded anew each epoch by worker processes."""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.data.pack import packed
from trainer.data.source import ArraySamples, Samples, Subset
from trainer.errors import DataError, TrainerError

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done, and how many there are."""

_CHUNK = 32
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
        """Whether the images are decoded already, in memory or in a packed copy."""

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        """For each order, (B,) int64, its images in that order: uint8 (B, C, H, W)."""

    def __len__(self) -> int: ...


def open_store(samples: Samples, *, cache: str, workers: int, progress: Progress | None = None) -> Store:
    """The samples' images in memory or streamed; both give the same bytes.

    cache: 'ram', 'packed' (a file on disk, mapped into memory: only the first run decodes), 'none', or 'auto': ram if
    the images take at most a quarter of the memory that is available.
    workers: threads that decode into memory, or processes that stream; 0 does either in this thread.
    Raises DataError with the first ten files that cannot be read and their number, when decoding into memory.
    """
    pixels, rows = _pixels_at_hand(samples)
    if pixels is not None:
        return ResidentStore(samples.labels, samples.keys, pixels, rows)
    if cache == "packed":
        whole, rows = _whole(samples)
        pixels = packed(whole, lambda room: _decode_all(whole, workers, progress, room))
        return ResidentStore(samples.labels, samples.keys, pixels, rows)
    channels, height, width = samples.shape
    num_bytes = len(samples) * channels * height * width
    if cache == "none" or (cache == "auto" and num_bytes > available_memory() // 4):
        return StreamedStore(samples, samples.labels, samples.keys, workers)
    pixels = torch.empty(len(samples), *samples.shape, dtype=torch.uint8)
    _decode_all(samples, workers, progress, pixels)
    return ResidentStore(samples.labels, samples.keys, pixels, torch.arange(len(samples)))


@dataclass(frozen=True)
class ResidentStore:
    """All images as one uint8 tensor, which may be mapped from a file.

    Image i is its row rows[i], so that a subset shares the tensor of its whole.
    """

    labels: Tensor
    keys: Sequence[str]
    pixels: Tensor
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


@dataclass(frozen=True)
class StreamedStore:
    """Images decoded when they are asked for, a few batches ahead, by `workers` processes (0: in this one).

    gather raises DataError with the file that cannot be read, and TrainerError if a worker was killed.
    """

    samples: Samples
    labels: Tensor
    keys: Sequence[str]
    workers: int
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.samples.shape

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        if not self.workers:
            for order in orders:
                yield _read(self.samples, order.tolist())
            return
        loader = DataLoader(
            _Reader(self.samples),
            batch_sampler=[order.tolist() for order in orders],
            num_workers=min(self.workers, len(orders)),
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # else its seed is drawn from torch's global state, which belongs to the run
        )
        with _Workers(loader) as batches:
            for batch in batches:
                if isinstance(batch, str):
                    raise DataError(batch)
                yield batch

    def __len__(self) -> int:
        return len(self.labels)


class _Reader(Dataset["Tensor | str"]):
    """Whole batches for the workers. A failure travels as its message: torch would wrap it in a traceback."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitems__(self, indices: list[int]) -> Tensor | str:
        try:
            return _read(self.samples, indices)
        except DataError as error:
            return str(error)


class _Workers:
    """A loader's processes: their start, their sudden end, and their stop."""

    def __init__(self, loader: "DataLoader[Tensor | str]") -> None:
        self.loader = loader

    def __enter__(self) -> Iterator[Tensor | str]:
        handler, others = signal.getsignal(signal.SIGCHLD), set(multiprocessing.active_children())
        self.iterator = iter(self.loader)
        self.processes = [each for each in multiprocessing.active_children() if each not in others]
        if threading.current_thread() is threading.main_thread():
            # Torch's handler would raise in whatever line runs when a worker dies; so it is noticed in _batches.
            signal.signal(signal.SIGCHLD, handler)
        atexit.register(self.kill)  # on exit Python sends SIGTERM and waits, and these processes ignore SIGTERM
        return self._batches()

    def __exit__(self, *_: object) -> None:
        atexit.unregister(self.kill)
        del self.iterator  # tells the processes to end, and waits for them

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def _batches(self) -> Iterator[Tensor | str]:
        try:
            yield from self.iterator
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not wait([process.sentinel for process in self.processes], timeout=1):
                raise  # all are alive: something else
            self.kill()  # the dead one's queue may be locked for good: the others could not end by themselves
            raise TrainerError(
                "A data worker process was killed from outside; out of memory? Try fewer workers or smaller batches."
            ) from error


def _leave_signals_to_the_parent(worker: int) -> None:
    """A signal to the whole process group must not end the workers: the parent saves first, and then stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


def _read(samples: Samples, indices: list[int]) -> Tensor:
    return torch.stack([samples.image(index) for index in indices])


def _pixels_at_hand(samples: Samples) -> tuple[Tensor | None, Tensor]:
    """The tensor that holds the samples already, if there is one, and each sample's row in it."""
    whole, rows = _whole(samples)
    return (whole.pixels if isinstance(whole, ArraySamples) else None), rows


def _whole(samples: Samples) -> tuple[Samples, Tensor]:
    """What the samples are a subset of, or they themselves, and each sample's place in it."""
    if not isinstance(samples, Subset):
        return samples, torch.arange(len(samples))
    whole, rows = _whole(samples.whole)
    return whole, rows[samples.indices]


def _decode_all(samples: Samples, workers: int, progress: Progress | None, pixels: Tensor) -> None:
    """Fills pixels, (N, C, H, W), with the samples' images."""

    def decode(start: int) -> list[str]:
        failures = []
        for index in range(start, min(start + _CHUNK, len(samples))):
            try:
                pixels[index] = samples.image(index)
            except DataError as error:
                failures.append(str(error))
        return failures

    starts = range(0, len(samples), _CHUNK)
    failures: list[str] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:  # Pillow releases the GIL while it decodes
        for start, failed in zip(starts, pool.map(decode, starts) if workers else map(decode, starts), strict=True):
            failures += failed
            if progress:
                progress("Reading images", min(start + _CHUNK, len(samples)), len(samples))
    if failures:
        raise DataError(listing(failures, len(samples)))


def listing(failures: Sequence[str], total: int) -> str:
    """How many of the images cannot be read, and the first ten with their reasons, one a line."""
    more = len(failures) - _FAILURES_SHOWN
    lines = [*failures[:_FAILURES_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    return "\n  ".join([f"{len(failures)} of {total} images cannot be read:", *lines])


def available_memory() -> int:
    """Bytes that this process may still take: what the system has left, or what a container's limit leaves."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    limit = group / "memory.max"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        available = min(available, int(most) - int((group / "memory.current").read_text()))
    return max(0, available)
