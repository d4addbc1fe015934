"""Stores and batches: the same bytes from memory, from this process and from workers; and how failures look."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import open_store
from torch import Tensor

from trainer.data.glyphs import glyphs
from trainer.data.source import ArraySamples, Samples, Subset
from trainer.errors import DataError, TrainerError
from trainer.feed import keeping, stream
from trainer.feed.batches import Batch, EvalBatches, TrainBatches
from trainer.feed.normalise import mean_and_std
from trainer.feed.pack import blocks_held
from trainer.feed.store import ResidentStore, Store
from trainer.rng import Draws


def here(tensor: Tensor) -> Tensor:
    """The upload to a device that is this one."""
    return tensor


ORDERS = [torch.tensor([3, 1, 1]), torch.tensor([0]), torch.tensor([9, 8, 7])]


@pytest.fixture(scope="module")
def samples() -> Samples:
    return glyphs(images=20, size=12, val="test").train


def random_arrays(count: int = 10) -> ArraySamples:
    pixels = torch.randint(0, 256, (count, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ArraySamples(pixels, torch.arange(count), [str(index) for index in range(count)])


@dataclass(frozen=True)
class Faulty:
    """Glyphs whose image number `at` does something else."""

    whole: Samples
    at: int
    fault: str
    groups = None

    @property
    def labels(self) -> Tensor:
        return self.whole.labels

    @property
    def keys(self) -> list[str]:
        return list(self.whole.keys)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.whole.shape

    def image(self, index: int) -> Tensor:
        if index == self.at and self.fault == "unreadable":
            raise DataError("photos/bad.png: broken or truncated.")
        if index == self.at and self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.at and self.fault == "signals":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        return self.whole.image(index)

    def digest(self) -> bytes:
        return b""

    def version(self) -> bytes:
        return b""

    def __len__(self) -> int:
        return len(self.whole)


def children() -> set[int]:
    return {each.pid or 0 for each in multiprocessing.active_children()}


@pytest.mark.parametrize(("cache", "workers"), [("ram", 2), ("none", 0), ("none", 2), ("auto", 0)])
def test_every_store_gives_the_same_bytes_in_the_order_asked(samples: Samples, cache: str, workers: int) -> None:
    store = open_store(samples, cache=cache, workers=workers)
    assert store.resident == (cache != "none") and len(store) == 20 and store.shape == (3, 12, 12)
    batches = list(store.gather(ORDERS))
    assert len(batches) == 3
    for order, batch in zip(ORDERS, batches, strict=True):
        assert batch.dtype == torch.uint8
        assert torch.equal(batch, torch.stack([samples.image(index) for index in order.tolist()]))
    assert not children()


def test_subset_of_an_array_shares_its_memory() -> None:
    whole = random_arrays()
    store = open_store(Subset(Subset(whole, torch.tensor([8, 2, 5])), torch.tensor([2, 0])), cache="none", workers=2)
    assert isinstance(store, ResidentStore) and np.shares_memory(store.pixels, whole.pixels.numpy())
    assert torch.equal(next(store.gather([torch.tensor([0, 1])])), whole.pixels[[5, 8]])
    assert store.labels.tolist() == [5, 8] and list(store.keys) == ["5", "8"]


def test_available_memory_is_at_most_what_the_machine_has() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**20 < keeping.available_memory() <= total


def test_files_that_a_container_has_read_do_not_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = "anon 300000\ninactive_file 700000\nactive_file 0\n"
    for name, text in {"max": "1048576\n", "current": "1000000\n", "stat": stat}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(keeping, "_GROUP", tmp_path)
    assert keeping.available_memory() == 748576


def test_a_gibibyte_of_decoded_images_waits_for_its_place_at_most() -> None:
    assert [blocks_held(each, 3 * 160 * 160) for each in (0, 1, 32)] == [1, 1, 32]
    assert blocks_held(32, 3 * 1280 * 1280) == 6 and blocks_held(32, 3 * 9000 * 9000) == 1


def test_threads_share_the_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = random_arrays(9)
    meeting = threading.Barrier(2, timeout=60)  # broken unless two threads come

    def image(self: Faulty, index: int) -> Tensor:
        if index in (0, 8):
            meeting.wait()
        return samples.image(index)

    monkeypatch.setattr(Faulty, "image", image)
    store = open_store(Faulty(samples, at=-1, fault=""), cache="ram", workers=2)
    assert torch.equal(next(store.gather([torch.arange(9)])), samples.pixels)


def test_decoding_reports_its_progress() -> None:
    seen: list[tuple[int, int]] = []
    part = glyphs(images=70, size=12, val="test").train
    open_store(part, cache="ram", workers=2, progress=lambda _, done, total: seen.append((done, total)))
    assert seen == [(32, 70), (64, 70), (70, 70)]


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_leaves_the_global_random_state_alone(samples: Samples, workers: int) -> None:
    before = torch.get_rng_state()
    list(open_store(samples, cache="none", workers=workers).gather(ORDERS))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.row(32)
@pytest.mark.parametrize(("cache", "workers"), [("none", 0), ("none", 2), ("ram", 2)])
def test_unreadable_image_is_named(samples: Samples, cache: str, workers: int) -> None:
    with pytest.raises(DataError, match=r"photos/bad\.png: broken") as caught:
        list(open_store(Faulty(samples, 8, "unreadable"), cache=cache, workers=workers).gather(ORDERS))
    assert "Traceback" not in str(caught.value)
    del caught
    assert not children()


@pytest.mark.row(32)
def test_killed_worker_is_one_clear_line_and_leaves_no_process(samples: Samples) -> None:
    orders = [torch.tensor([index]) for index in range(20)]
    with pytest.raises(
        TrainerError, match=r"^Data worker \d died at .*killed from outside by SIGKILL; out of memory\?"
    ):
        list(open_store(Faulty(samples, 9, "killed"), cache="none", workers=2).gather(orders))
    assert not children()


def test_worker_death_does_not_raise_in_other_code(samples: Samples) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    batches = open_store(samples, cache="none", workers=1).gather(ORDERS)
    next(batches)
    assert signal.getsignal(signal.SIGCHLD) is before
    del batches


@pytest.mark.row(32)
def test_workers_survive_signals_to_the_group(samples: Samples) -> None:
    batches = list(open_store(Faulty(samples, 1, "signals"), cache="none", workers=2).gather(ORDERS))
    assert len(batches) == 3


def struck_before_it_begins(places: Tensor, worker: int, begin: Callable[[Tensor, int], None] = stream._begin) -> None:
    """A worker's beginning, with the signals just before it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    begin(places, worker)


@pytest.mark.row(32)
def test_a_worker_survives_signals_to_the_group_before_it_has_begun(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_begin", struck_before_it_begins)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    batches = list(open_store(Faulty(samples, 1, "signals"), cache="none", workers=2).gather(ORDERS))
    assert len(batches) == 3
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_epoch_left_early_stops_its_workers(samples: Samples) -> None:
    batches = open_store(samples, cache="none", workers=2).gather(ORDERS * 20)
    next(batches)
    assert len(children()) == 2
    del batches
    assert not children()


@pytest.mark.slow
@pytest.mark.row(32)
def test_program_that_ends_in_the_middle_of_an_epoch_does_not_hang() -> None:
    program = """
from trainer.data.glyphs import glyphs
from trainer.feed.store import StreamedStore
import torch
samples = glyphs(images=64, size=12).train
batches = StreamedStore(samples, samples.labels, samples.keys, 2).gather([torch.arange(4)] * 200)
next(batches)
raise SystemExit(7)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, text=True)
    assert done.returncode == 7 and done.stderr == "" and time.monotonic() - began < 45


def identity(images: Tensor, draws: Draws) -> Tensor:
    return images.float() + draws.uniform("noise")[:, None, None, None]


def train(store: Store, batch_size: int = 3, seed: int = 0) -> TrainBatches:
    return TrainBatches(store, batch_size=batch_size, seed=seed, upload=here, transform=identity)


def by_index(batches: Iterator[Batch]) -> dict[int, bytes]:
    return {
        index: image.numpy().tobytes()
        for batch in batches
        for index, image in zip(batch.indices.tolist(), batch.images, strict=True)
    }


def test_resumed_epoch_goes_on_where_it_stopped() -> None:
    batches = train(open_store(random_arrays(), cache="auto", workers=0))
    whole, rest = list(batches.epoch(4)), list(batches.epoch(4, start=2))
    assert len(batches) == len(whole) == 4 and len(rest) == 2
    assert torch.equal(whole[2].images, rest[0].images) and torch.equal(whole[2].labels, rest[0].labels)
    assert list(batches.epoch(4, start=4)) == []


def test_sample_does_not_depend_on_its_neighbours() -> None:
    store = open_store(random_arrays(), cache="auto", workers=0)
    small, large = by_index(train(store, 2).epoch(1)), by_index(train(store, 5).epoch(1))
    assert small == large and len(small) == 10
    assert small != by_index(train(store, 2).epoch(2)) and small != by_index(train(store, 2, seed=1).epoch(1))


def test_each_epoch_takes_every_sample_once_in_another_order_and_in_batches_of_one_size() -> None:
    batches = train(open_store(random_arrays(), cache="auto", workers=0))
    orders = [torch.cat([batch.indices for batch in batches.epoch(epoch)]).tolist() for epoch in range(12)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 12
    assert [len(batch.images) for batch in batches.epoch(0)] == [3, 3, 2, 2]


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 12), st.data())
def test_no_image_is_dropped_whatever_the_set_the_batch_and_the_accumulation(
    count: int, batch_size: int, accumulate: int, data: st.DataObject
) -> None:
    pixels, labels = torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64)
    store = ResidentStore(labels, [str(number) for number in range(count)], pixels.numpy(), torch.arange(count))
    batches = TrainBatches(
        store, batch_size=batch_size, seed=0, accumulate=accumulate, upload=here, transform=lambda images, _: images
    )
    drawn = [batch.indices for batch in batches.epoch(1)]
    assert sorted(torch.cat(drawn).tolist()) == list(range(count))
    assert len(batches) == len(drawn) == sum(batches.per_step)
    assert max(map(len, drawn)) == batches.batch_size <= batch_size and max(batches.per_step) <= accumulate
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1
    coming = iter(drawn)
    steps = [torch.cat(list(islice(coming, each))) for each in batches.per_step]
    assert max(map(len, steps)) - min(map(len, steps)) <= 1
    assert (len(steps) - 1) * batch_size * accumulate < count <= len(steps) * batch_size * accumulate
    step = data.draw(st.integers(0, len(steps) - 1))
    assert torch.equal(batches.samples(1, step), steps[step])
    rest = [batch.indices for batch in batches.epoch(1, start=sum(batches.per_step[:step]))]
    assert torch.equal(torch.cat(rest), torch.cat(steps[step:]))


def test_the_batches_of_a_small_set_are_not_cut_up_to_make_as_many_as_may_be_accumulated() -> None:
    store = open_store(random_arrays(), cache="auto", workers=0)
    batches = TrainBatches(store, batch_size=4, seed=0, accumulate=8, upload=here, transform=identity)
    assert [len(batch.images) for batch in batches.epoch(0)] == [4, 3, 3] and batches.per_step == (3,)


def test_labels_belong_to_their_images() -> None:
    whole = random_arrays()
    batches = TrainBatches(
        open_store(whole, cache="auto", workers=0),
        batch_size=4,
        seed=0,
        upload=here,
        transform=lambda images, _: images,
    )
    for batch in batches.epoch(0):
        assert torch.equal(batch.images, whole.pixels[batch.indices])
        assert torch.equal(batch.labels, whole.labels[batch.indices])


def test_fewer_samples_than_a_batch_make_one_smaller_batch() -> None:
    batches = train(open_store(random_arrays(5), cache="auto", workers=0), batch_size=64)
    assert len(batches) == 1 and [len(batch.images) for batch in batches.epoch(0)] == [5]


def test_evaluation_sees_all_samples_in_order() -> None:
    store = open_store(random_arrays(), cache="auto", workers=0)
    batches = EvalBatches(store, batch_size=4, upload=here, transform=Tensor.float)
    assert len(batches) == 3 and [len(batch.indices) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(10))
    assert torch.equal(torch.cat([batch.images for batch in batches]), random_arrays().pixels.float())


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_statistics_are_those_of_all_pixels(samples: Samples, cache: str) -> None:
    mean, std = mean_and_std(open_store(samples, cache=cache, workers=0))
    pixels = torch.stack([samples.image(index) for index in range(20)]).double() / 255
    torch.testing.assert_close(mean, pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(std, pixels.std((0, 2, 3), correction=0).float())


def test_constant_channel_can_be_divided_by() -> None:
    black = ArraySamples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), list("abcd"))
    mean, std = mean_and_std(open_store(black, cache="auto", workers=0))
    assert mean.tolist() == [0] and std.tolist() == pytest.approx([1 / 255])


def test_truncated_file_in_a_worker_is_named(tmp_path: Path) -> None:
    from trainer.data.folder import folder

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{index}.png")
    source = folder(root=str(tmp_path), cache="none")
    bad = tmp_path / source.train.keys[2]
    bad.write_bytes(bad.read_bytes()[:45])
    with pytest.raises(DataError, match=bad.name):
        list(open_store(source.train, cache="none", workers=1).gather([torch.arange(6)]))
