"""What only a GPU runs, against a small model of it: streams that only waiting orders, and memory that is reused."""

import contextlib
import threading
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
from trainer.errors import DataError
from trainer.settings import Settings

Ahead = Callable[[Iterable[Any], torch.device], Iterator[Any]]
CUDA = torch.device("cuda")


class Stream:
    """Work in order. `seen` tells how much of each stream's work is done before what this one is given next."""

    def __init__(self) -> None:
        self.seen: dict[Stream, int] = defaultdict(int)

    def record_event(self) -> "dict[Stream, int]":
        return dict(self.seen)

    def wait_event(self, event: "dict[Stream, int]") -> None:
        for each, count in event.items():
            self.seen[each] = max(self.seen[each], count)

    def wait_stream(self, other: "Stream") -> None:
        self.wait_event(other.record_event())


@dataclass
class Block:
    """Memory that belongs to the pool of the stream that it was first taken for."""

    uses: list[tuple[Stream, int]] = field(default_factory=list)
    written: tuple[Stream, int] | None = None


class Tensor:
    """Holds a block for as long as it lives."""

    is_cuda = True

    def __init__(self) -> None:
        self.recorded: list[Stream] = []

    def record_stream(self, stream: Stream) -> None:
        self.recorded.append(stream)


@dataclass
class Item:
    images: Tensor


class Gpu:
    """What torch.cuda is to a prefetcher: no more than the order of work, and who may use which memory when."""

    def __init__(self) -> None:
        self.main = Stream()
        self._entered = threading.local()
        self.pools: dict[Stream, list[Block]] = defaultdict(list)
        self.blocks: weakref.WeakKeyDictionary[Tensor, Block] = weakref.WeakKeyDictionary()
        self.races: list[str] = []
        self.streams: list[Stream] = []

    def new_stream(self, _: object = None) -> Stream:
        self.streams.append(Stream())
        return self.streams[-1]

    @property
    def current(self) -> Stream:
        """A matter of each thread."""
        return getattr(self._entered, "stream", self.main)

    @contextlib.contextmanager
    def stream(self, entered: Stream) -> Iterator[None]:
        before, self._entered.stream = self.current, entered
        yield
        self._entered.stream = before

    def made(self, *sources: Tensor) -> Tensor:
        """A tensor that a kernel of the current stream makes of others. What is freed goes back to the pool at once,
        though kernels that read it may still be waiting for their turn: as torch's allocator has it. Where the tensor
        was recorded for another stream, once they are done."""
        pool = self.pools[self.current]
        block = pool.pop() if pool else Block()
        tensor = Tensor()
        self.blocks[tensor] = block
        weakref.finalize(tensor, self._freed, pool, block, tensor.recorded)
        use = self._launch()
        for source in sources:
            self._read(self.blocks[source], use)
        self._expect(block.uses, "is overwritten while it is read")
        block.uses, block.written = [use], use
        return tensor

    def _freed(self, pool: list[Block], block: Block, recorded: list[Stream]) -> None:
        block.uses = [] if recorded else block.uses
        pool.append(block)

    def read(self, tensor: Tensor) -> None:
        """A kernel of the current stream reads the tensor."""
        self._read(self.blocks[tensor], self._launch())

    def _read(self, block: Block, use: tuple[Stream, int]) -> None:
        self._expect([block.written] if block.written else [], "is read before it is written")
        block.uses.append(use)

    def _launch(self) -> tuple[Stream, int]:
        stream = self.current
        stream.seen[stream] += 1
        return stream, stream.seen[stream]

    def _expect(self, before: list[tuple[Stream, int]], otherwise: str) -> None:
        seen = self.current.seen
        self.races += [otherwise for stream, count in before if seen[stream] < count]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    gpu = Gpu()
    monkeypatch.setattr(torch.cuda, "Stream", gpu.new_stream)
    monkeypatch.setattr(torch.cuda, "stream", gpu.stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _=None: gpu.current)
    device._side_stream.cache_clear()
    yield gpu
    device._side_stream.cache_clear()


def batches(gpu: Gpu, count: int, constant: Tensor) -> Iterator[Item]:
    """Each uploaded, and made into what the model sees."""
    for _ in range(count):
        uploaded = gpu.made()
        yield Item(gpu.made(uploaded, constant))


def train_on(gpu: Gpu, prefetch: Ahead, *, accumulate: int = 1) -> None:
    """Three epochs as the loop takes them, each with an evaluation, the last of them left early."""
    mean_image = gpu.made()
    for epoch in range(3):
        coming = iter(prefetch(batches(gpu, 6 * accumulate, mean_image), CUDA))
        for _ in range(4 if epoch == 2 else 6):
            group = list(islice(coming, accumulate))
            for batch in group:
                gpu.read(gpu.made(batch.images))  # its logits
        for batch in prefetch(batches(gpu, 4, mean_image), CUDA):
            gpu.read(batch.images)


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


def not_recorded(items: Iterable[Any], where: torch.device) -> Iterator[Any]:
    """In a thread, and its memory goes to the next one as soon as the model's work is said, though not done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
        yield from ahead(items, where)


@pytest.mark.parametrize(
    ("prefetch", "race"),
    [
        (waiting_for_itself, "is overwritten while it is read"),
        (not_recorded, "is overwritten while it is read"),
        (not_waited_for, "is read before it is written"),
    ],
)
def test_the_model_of_the_gpu_sees_a_race(gpu: Gpu, prefetch: Ahead, race: str) -> None:
    train_on(gpu, prefetch)
    assert race in gpu.races


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("batches")]


def who_prepares(count: int, asked: list[str]) -> Iterator[Item]:
    for _ in range(count):
        asked.append(threading.current_thread().name)
        yield Item(Tensor())


def test_one_thread_prepares_all_but_the_first_and_no_more_than_two_before_they_are_wanted(gpu: Gpu) -> None:
    asked: list[str] = []
    coming = ahead(who_prepares(6, asked), CUDA)
    for taken in range(6):
        next(coming)
        assert len(asked) <= taken + 3
    assert list(coming) == [] and threads() == []
    assert (asked[0], len(set(asked)), len(asked)) == (threading.current_thread().name, 2, 6)


def test_what_may_not_be_prepared_beside_the_steps_is_not(gpu: Gpu) -> None:
    asked: list[str] = []
    assert len(list(ahead(who_prepares(3, asked), CUDA, beside=False))) == 3
    assert set(asked) == {threading.current_thread().name}


def test_an_item_that_fails_is_told_in_its_place_and_leaves_no_thread(gpu: Gpu) -> None:
    def failing() -> Iterator[Item]:
        yield from who_prepares(3, [])
        raise DataError("the fourth")

    coming = ahead(failing(), CUDA)
    assert len(list(islice(coming, 3))) == 3
    with pytest.raises(DataError, match="the fourth"):
        next(coming)
    assert threads() == []


def test_who_leaves_before_the_end_leaves_no_thread(gpu: Gpu) -> None:
    coming = ahead(who_prepares(9, []), CUDA)
    next(coming)
    assert threads()
    coming.close()  # type: ignore[attr-defined]
    assert threads() == []


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
