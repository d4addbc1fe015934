"""Images that lie on a device: the CPU stands for it, since what is gathered there is gathered as here."""

import pytest
import torch
from shared import open_store
from torch import Tensor

from trainer.data.glyphs import glyphs
from trainer.errors import DataError
from trainer.feed.batches import TrainBatches
from trainer.feed.on_device import DeviceStore, carried, on_device
from trainer.feed.store import Store
from trainer.schema import Cache

CPU = torch.device("cpu")
SAMPLES = glyphs(images=600, size=8).train
NUM_BYTES = len(SAMPLES) * 3 * 8 * 8


def store(cache: Cache = "ram") -> Store:
    return open_store(SAMPLES, cache=cache, workers=0)


def batches_of(store: Store) -> list[tuple[Tensor, Tensor, Tensor]]:
    batches = TrainBatches(
        store, batch_size=50, seed=3, upload=lambda tensor: tensor, transform=lambda images, _: images
    )
    return [(batch.images, batch.labels, batch.indices) for batch in batches.epoch(1)]


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_batches_are_the_same_bits_wherever_they_are_gathered(cache: Cache) -> None:
    kept = store(cache)
    there = carried(kept, CPU)
    assert there.shape == kept.shape and len(there) == len(kept) and list(there.keys) == list(kept.keys)
    for one, other in zip(batches_of(there), batches_of(kept), strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.parametrize(
    ("wanted", "cache", "free", "stay"),
    [
        ("auto", "ram", 2 * NUM_BYTES, True),
        ("auto", "ram", 2 * NUM_BYTES - 2, False),
        ("auto", "none", 2 * NUM_BYTES, False),
        ("device", "none", 2 * NUM_BYTES, True),
        ("ram", "ram", 2 * NUM_BYTES, False),
    ],
)
def test_what_is_decoded_and_takes_half_of_what_is_free_at_most_stays(
    wanted: Cache, cache: Cache, free: int, stay: bool
) -> None:
    (there,), note = on_device([store(cache)], wanted, CPU, free)
    assert isinstance(there, DeviceStore) == stay == ("also lie on the GPU" in note)


def test_images_that_are_to_lie_on_a_device_and_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"^data\.cache: device has .* MiB left, and the decoded images take .*\.$"):
        on_device([store()], "device", CPU, NUM_BYTES)
