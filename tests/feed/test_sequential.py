"""Images that come by in the order of their shards: shuffled within reach, read ahead, and never too many held."""

import threading
from collections.abc import Generator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from packs import drawn

from trainer.data import passing
from trainer.data.decode import Frame
from trainer.data.passing import Passed, Passing, PassingSamples
from trainer.errors import DataError
from trainer.feed.sequential import SequentialStore
from trainer.parallel.place import Place
from trainer.size import square

LENGTHS = (7, 1, 12, 10)
SIZES = (8, 8, 7, 7)
READ: list[int] = []


def store(
    workers: int = 0,
    reach: int = 5,
    rows: torch.Tensor | None = None,
    broken: int | None = None,
    emptied: int | None = None,
    interleave: int = 1,
) -> SequentialStore:
    """Thirty images in four shards; the one of number `broken` breaks off in its middle, the `emptied` one at once."""
    pictures = list(drawn(sum(LENGTHS)))

    def read(shard: int) -> Generator[Passed, None, None]:
        if shard == emptied:
            return
        first = sum(LENGTHS[:shard])
        for number in range(first, first + LENGTHS[shard]):
            if shard == broken and number == first + 3:
                raise DataError(f"shard {shard} breaks off.")
            READ.append(number)
            yield Passed(str(number), pictures[number].content, "0")

    size = np.array([len(each.content) for each in pictures])
    whole = Passing(read, LENGTHS, size, np.full(30, 12, np.int32), reach, interleave)
    keys, labels = [str(each) for each in range(30)], torch.zeros(30, dtype=torch.int64)
    samples = PassingSamples(Path("set"), keys, labels, whole, Frame(square(12)))
    rows = torch.arange(30) if rows is None else rows
    return SequentialStore(samples, rows, labels[rows], [keys[row] for row in rows.tolist()], workers)


def test_an_epoch_takes_every_image_once_in_an_order_of_seed_and_epoch() -> None:
    orders = [store().order(seed, epoch, SIZES).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3 and store().order(0, 0, SIZES).tolist() == orders[0]


def test_shards_are_read_whole_and_no_image_comes_further_from_its_place_than_the_reach() -> None:
    shard_of = np.repeat(range(len(LENGTHS)), LENGTHS)
    for epoch in range(20):
        read, shuffled = (store(reach=reach).order(0, epoch, SIZES).tolist() for reach in (0, 5))
        assert int((np.diff(shard_of[read]) != 0).sum()) == len(LENGTHS) - 1 and read != shuffled
        assert max(abs(read.index(number) - place) for place, number in enumerate(shuffled)) <= 5


def test_each_batch_has_as_many_images_of_each_lane_and_a_lane_is_read_from_front_to_back() -> None:
    orders = torch.split(store(reach=0, interleave=3).order(0, 0, SIZES), SIZES)
    lanes = [[order[lane * len(order) // 3 : (lane + 1) * len(order) // 3] for order in orders] for lane in range(3)]
    assert torch.equal(torch.cat([*chain(*lanes)]), store(reach=0).order(0, 0, SIZES))


@pytest.mark.parametrize("size", [2, 4, 3])
def test_processes_share_out_the_shards_of_an_epoch(size: int) -> None:
    here, taken = store(interleave=4, reach=4), list[int]()
    orders = torch.split(here.order(0, 0, SIZES), SIZES)
    READ.clear()
    list(here.gather(orders))
    alone = len(
        READ
    )  # more than the images: where two lanes meet in a shard, the second passes over what is the first's
    READ.clear()
    for rank in range(size):
        own = [order[Place(rank, size).share(len(order))] for order in orders]
        taken += torch.cat(own).tolist()
        list(here.gather(own))
    assert sorted(taken) == list(range(30))
    assert len(READ) <= alone < 60


@pytest.mark.parametrize("interleave", [1, 2, 3, 9])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_images_that_are_asked_for_whatever_the_workers(workers: int, interleave: int) -> None:
    here = store(workers, interleave=interleave)
    orders = torch.split(here.order(0, 0, SIZES), 7)
    for order, images in zip(orders, here.gather(orders), strict=True):
        assert torch.equal(images, torch.stack([here.samples.image(int(number)) for number in order]))


def test_a_store_of_some_samples_gives_these_and_decodes_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    here, decoded = store(rows=torch.tensor([2, 7, 9, 25])), list[str]()
    monkeypatch.setattr(passing, "decode", lambda picture, frame: decoded.append(str(picture)) or torch.zeros(1))
    assert sorted(here.order(3, 1, [2, 2]).tolist()) == [0, 1, 2, 3]
    assert len(list(here.gather([torch.tensor([1, 0]), torch.tensor([3])]))) == 2
    assert sorted(decoded) == ["set/2", "set/25", "set/7"]


def test_shards_of_which_nothing_is_wanted_are_not_read() -> None:
    READ.clear()
    list(store().gather([torch.tensor([8, 9])]))
    assert READ[:2] == [8, 9] and len(READ) <= 3  # none of the other shards, nor the rest of this one


def test_no_more_images_are_held_than_the_reach_and_two_batches_although_lanes_meet_in_a_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, decoded = store(reach=3, interleave=3), list[str]()
    monkeypatch.setattr(passing, "decode", lambda picture, frame: decoded.append(str(picture)) or torch.zeros(1))
    orders = torch.split(here.order(0, 0, [3] * 10), 3)
    for given, _ in enumerate(here.gather(orders), 1):
        assert len(decoded) - 3 * given <= 3 + 2 * 3
    assert sorted(decoded) == sorted(set(decoded)) and len(decoded) == 30


def test_a_shard_that_has_lost_its_samples_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"set: shard 1 ends behind sample 6, and had more"):
        list(store(emptied=1).gather([torch.arange(30)]))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_breaks_off_is_told_where_it_is_wanted(workers: int) -> None:
    batches = store(workers, broken=2).gather([torch.arange(8), torch.arange(8, 20)])
    assert len(next(batches)) == 8
    with pytest.raises(DataError, match=r"shard 2 breaks off\."):
        next(batches)


def test_whoever_takes_no_more_batches_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    batches = store(workers=2).gather([torch.arange(10), torch.arange(10, 30)])
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_sample_that_has_changed_since_the_first_pass_is_refused() -> None:
    here = store()
    here.samples.passing.size[4] += 1
    with pytest.raises(DataError, match=r"set/4: it is another one than when it was first read.*cache clear"):
        here.samples.image(4)
