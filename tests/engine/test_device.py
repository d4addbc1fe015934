"""What only a GPU runs, against a small model of it: streams that only waiting orders, and memory that is reused."""

import contextlib
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
import torch
from shared import Ended

from trainer.agreement import beyond_device
from trainer.engine import device
from trainer.engine.device import ahead
from trainer.settings import Settings

Ahead = Callable[[Iterable[Any], torch.device], Iterator[Any]]
CUDA = torch.device("cuda")


class Stream:
    """Work in order. `seen` tells how much of each stream's work is done before what this one is given next."""

    def __init__(self) -> None:
        self.seen: dict[Stream, int] = defaultdict(int)

    def wait_stream(self, other: "Stream") -> None:
        for each, count in [*other.seen.items()]:
            self.seen[each] = max(self.seen[each], count)


@dataclass
class Block:
    """Memory that belongs to the pool of the stream that it was first taken for."""

    uses: list[tuple[Stream, int]] = field(default_factory=list)
    written: tuple[Stream, int] | None = None


class Tensor:
    """Holds a block for as long as it lives."""


class Gpu:
    """What torch.cuda is to a prefetcher: no more than the order of work, and who may use which memory when."""

    def __init__(self) -> None:
        self.main = Stream()
        self.current = [self.main]
        self.pools: dict[Stream, list[Block]] = defaultdict(list)
        self.blocks: weakref.WeakKeyDictionary[Tensor, Block] = weakref.WeakKeyDictionary()
        self.races: list[str] = []
        self.streams: list[Stream] = []

    def new_stream(self, _: object = None) -> Stream:
        self.streams.append(Stream())
        return self.streams[-1]

    @contextlib.contextmanager
    def stream(self, entered: Stream) -> Iterator[None]:
        self.current.append(entered)
        yield
        self.current.pop()

    def made(self, *sources: Tensor) -> Tensor:
        """A tensor that a kernel of the current stream makes of others. What is freed goes back to the pool at once,
        though kernels that read it may still be waiting for their turn: as torch's allocator has it."""
        pool = self.pools[self.current[-1]]
        block = pool.pop() if pool else Block()
        tensor = Tensor()
        self.blocks[tensor] = block
        weakref.finalize(tensor, pool.append, block)
        use = self._launch()
        for source in sources:
            self._read(self.blocks[source], use)
        self._expect(block.uses, "is overwritten while it is read")
        block.uses, block.written = [use], use
        return tensor

    def read(self, tensor: Tensor) -> None:
        """A kernel of the current stream reads the tensor."""
        self._read(self.blocks[tensor], self._launch())

    def _read(self, block: Block, use: tuple[Stream, int]) -> None:
        self._expect([block.written] if block.written else [], "is read before it is written")
        block.uses.append(use)

    def _launch(self) -> tuple[Stream, int]:
        stream = self.current[-1]
        stream.seen[stream] += 1
        return stream, stream.seen[stream]

    def _expect(self, before: list[tuple[Stream, int]], otherwise: str) -> None:
        seen = self.current[-1].seen
        self.races += [otherwise for stream, count in before if seen[stream] < count]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    gpu = Gpu()
    monkeypatch.setattr(torch.cuda, "Stream", gpu.new_stream)
    monkeypatch.setattr(torch.cuda, "stream", gpu.stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _=None: gpu.current[-1])
    device._side_stream.cache_clear()
    yield gpu
    device._side_stream.cache_clear()


def batches(gpu: Gpu, count: int, constant: Tensor) -> Iterator[Tensor]:
    """Each uploaded, and made into what the model sees."""
    for _ in range(count):
        uploaded = gpu.made()
        yield gpu.made(uploaded, constant)


def train_on(gpu: Gpu, prefetch: Ahead, *, accumulate: int = 1) -> None:
    """Three epochs as the loop takes them, each with an evaluation, the last of them left early."""
    mean_image = gpu.made()
    for epoch in range(3):
        coming = iter(prefetch(batches(gpu, 6 * accumulate, mean_image), CUDA))
        for _ in range(4 if epoch == 2 else 6):
            group = list(islice(coming, accumulate))
            for batch in group:
                gpu.read(gpu.made(batch))  # its logits
        for batch in prefetch(batches(gpu, 4, mean_image), CUDA):
            gpu.read(batch)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_no_batch_is_overwritten_while_the_model_reads_it_nor_read_before_it_is_there(
    gpu: Gpu, accumulate: int
) -> None:
    train_on(gpu, ahead, accumulate=accumulate)
    assert gpu.races == []
    assert len(gpu.streams) == 1, "memory that was taken for one stream serves no other"


def waiting_for_itself(items: Iterable[Any], where: torch.device) -> Iterator[Any]:
    """As it was: within the block the current stream is the side stream, so that nothing waited for the model."""
    side = torch.cuda.Stream(where)  # type: ignore[no-untyped-call]
    iterator = iter(items)
    with torch.cuda.stream(side):
        coming = next(iterator, None)
    while coming is not None:
        torch.cuda.current_stream(where).wait_stream(side)
        item = coming
        with torch.cuda.stream(side):
            side.wait_stream(torch.cuda.current_stream(where))
            coming = next(iterator, None)
        yield item


def not_waited_for(items: Iterable[Any], where: torch.device) -> Iterator[Any]:
    """The model does not wait for its batch."""
    main, side, iterator = torch.cuda.current_stream(where), device._side_stream(), iter(items)
    while True:
        side.wait_stream(main)
        with torch.cuda.stream(side):
            item = next(iterator, None)
        if item is None:
            return
        yield item


@pytest.mark.parametrize(
    ("prefetch", "race"),
    [(waiting_for_itself, "is overwritten while it is read"), (not_waited_for, "is read before it is written")],
)
def test_the_model_of_the_gpu_sees_a_race(gpu: Gpu, prefetch: Ahead, race: str) -> None:
    train_on(gpu, prefetch)
    assert race in gpu.races


def test_without_a_gpu_items_come_one_by_one_and_are_not_prepared_before_they_are_wanted() -> None:
    asked: list[int] = []
    coming = ahead((asked.append(number) or number for number in range(3)), torch.device("cpu"))
    assert next(coming) == 0 and asked == [0]
    assert list(coming) == [1, 2]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("precision=tf32", "precision: tf32 is a way of CUDA's to multiply, which mps lacks. Use precision=fp32.\n"),
        ("precision=fp16", "precision: fp16 needs a gradient scaler, which mps lacks. Use precision=bf16 or fp32.\n"),
        (
            "data.cache=device",
            "data.cache: device is the memory of a CUDA GPU, and this run is on mps. Use data.cache=auto.\n",
        ),
        (
            "on_nonfinite=skip",
            "on_nonfinite: skip needs a gradient scaler, which mps lacks. Use on_nonfinite=rollback or stop.\n",
        ),
    ],
)
@pytest.mark.parametrize("said", ["device=mps", "device=auto"])
def test_what_a_device_cannot_do_is_refused_whether_it_was_named_or_found(
    train: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, said: str, word: str, told: str
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ended = train(said, word)
    assert (ended.code, ended.err) == (2, told)


def test_every_setting_is_allowed_on_a_device_that_can_do_all() -> None:
    assert beyond_device(Settings(precision="fp16", on_nonfinite="skip"), "cuda") == []
    assert beyond_device(Settings(precision="bf16", on_nonfinite="rollback"), "mps") == []
