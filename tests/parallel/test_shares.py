"""What of a batch is whose: together the processes have every sample once, and each as one process would have it."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from shared import open_store
from torch import Tensor

from trainer.aug.light import light
from trainer.aug.mixing import Mixer, cutmix, mixup
from trainer.data.glyphs import glyphs
from trainer.data.source import Source
from trainer.errors import ConfigError
from trainer.feed.batches import Batch, EvalBatches, TrainBatches
from trainer.feed.normalise import measure
from trainer.feed.preprocessing import of_source
from trainer.parallel.place import ONE, Place, place_of

CPU = torch.device("cpu")


def places(size: int) -> list[Place]:
    return [Place(rank, size, rank, size) for rank in range(size)]


@pytest.fixture(scope="module")
def source() -> Source:
    return glyphs(images=44, size=12, classes=4)


def training(source: Source, place: Place, *, mixes: bool) -> list[Batch]:
    """The batches of an epoch: of 8 and 7 images."""
    store = open_store(source.train, cache="ram", workers=0)
    transform = of_source(source, measure(store, source)).transform(light(), device=CPU, channels_last=False)
    mix = Mixer((mixup(0.2), cutmix(1.0)), 4) if mixes else None
    options = {"batch_size": 8, "seed": 3, "upload": lambda tensor: tensor, "transform": transform, "mix": mix}
    return list(TrainBatches(store, **options, place=place).epoch(2))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [7, 8, 20])
def test_the_shares_of_a_batch_are_all_of_it_and_differ_by_one_row_at_most(size: int, count: int) -> None:
    shares = [list(range(count))[place.share(count)] for place in places(size)]
    assert [*chain(*shares)] == [*range(count)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("count", [1, 4, 10])
def test_even_shares_are_as_long_on_all_ranks_and_begin_with_every_row_once(size: int, count: int) -> None:
    shares = [place.even_share(count) for place in places(size)]
    assert [*chain(*shares)][:count] == [*range(count)]
    assert len({len(share) for share in shares}) == 1


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_the_processes_see_what_one_would_whatever_is_mixed(source: Source, size: int, mixes: bool) -> None:
    whole, shares = training(source, ONE, mixes=mixes), [training(source, each, mixes=mixes) for each in places(size)]
    for batch, *parts in zip(whole, *shares, strict=True):
        for name in ("labels", "targets", "images"):
            together = torch.cat([getattr(part, name) for part in parts])
            torch.testing.assert_close(together, getattr(batch, name), rtol=0, atol=1e-6)
        assert all(torch.equal(part.indices, batch.indices) for part in parts)


def test_the_processes_answer_every_image_of_an_evaluation_once_and_know_all_labels(source: Source) -> None:
    store = open_store(source.train, cache="ram", workers=0)
    options = {"batch_size": 16, "upload": lambda tensor: tensor, "transform": Tensor.float}
    shares = [EvalBatches(store, **options, place=place) for place in places(3)]
    for batch, *parts in zip(EvalBatches(store, **options), *shares, strict=True):
        answered = torch.cat([part.images for part in parts])[: len(batch.labels)]
        assert torch.equal(answered, batch.images)
        assert all(torch.equal(part.labels, batch.labels) for part in parts)


def test_few_samples_of_an_evaluation_are_shared_as_well(source: Source) -> None:
    store = open_store(source.train, cache="ram", workers=0)
    few = EvalBatches(
        store, batch_size=16, upload=lambda tensor: tensor, transform=Tensor.float, place=places(2)[1]
    ).few(6)
    assert [len(batch.images) for batch in few] == [3]


def test_a_process_is_alone_where_nothing_says_that_it_is_one_of_several() -> None:
    assert place_of({"LOCAL_RANK": "3"}) == ONE and ONE.is_alone and ONE.is_first


def test_half_of_what_torchrun_says_is_refused() -> None:
    said = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert place_of(said) == Place(1, 2, 1, 2) == replace(ONE, rank=1, size=2, local_rank=1, local_size=2)
    with pytest.raises(ConfigError, match=r"LOCAL_RANK.*Start them with torchrun"):
        place_of({key: value for key, value in said.items() if key != "LOCAL_RANK"})
