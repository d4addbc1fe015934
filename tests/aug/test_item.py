"""torchvision's chains on single images: their own result, seeded by sample and epoch alone."""

import pytest
import torch
from torchvision.transforms import v2

from trainer.aug.custom import custom
from trainer.aug.item import automatic
from trainer.data.source import ArraySamples
from trainer.errors import ConfigError
from trainer.feed.batches import TrainBatches, one_by_one
from trainer.feed.store import ResidentStore, StreamedStore
from trainer.rng import Draws, seed_of

CHAINS = {
    "rand_augment": v2.RandAugment(num_ops=2, magnitude=9),
    "trivial_augment": v2.TrivialAugmentWide(),
    "aug_mix": v2.AugMix(severity=3),
}


def images_of(batch, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, channels, 16, 16), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CHAINS)
def test_each_image_becomes_what_torchvision_makes_of_it(name, channels):
    images, draws = images_of(12, channels), Draws(7, 2, torch.arange(30, 42))
    seen = one_by_one(automatic(name, None), images, draws)
    assert seen.shape == images.shape and seen.dtype == torch.uint8
    for row, image in enumerate(images):
        torch.manual_seed(seed_of(7, 2, 30 + row, "item"))
        assert torch.equal(seen[row], CHAINS[name](image))
    assert not torch.equal(seen, images)


@pytest.mark.parametrize(
    ("name", "strength", "theirs"),
    [
        ("rand_augment", 0.5, v2.RandAugment(magnitude=15)),
        ("rand_augment", 1.0, v2.RandAugment(magnitude=30)),
        ("aug_mix", 1.0, v2.AugMix(severity=10)),
        ("aug_mix", 0.0, v2.AugMix(severity=1)),
    ],
)
def test_the_strength_is_a_share_of_torchvisions_strongest(name, strength, theirs):
    ours = automatic(name, strength)
    for field in ("magnitude", "severity"):
        assert getattr(ours, field, None) == getattr(theirs, field, None)


def test_an_image_depends_on_its_sample_and_epoch_and_not_on_its_neighbours():
    stage, images = automatic("trivial_augment", None), images_of(20)
    together = one_by_one(stage, images, Draws(0, 1, torch.arange(20)))
    backwards = one_by_one(stage, images.flip(0), Draws(0, 1, torch.arange(20).flip(0))).flip(0)
    assert torch.equal(together, backwards)
    assert not torch.equal(together, one_by_one(stage, images, Draws(0, 2, torch.arange(20))))


def test_the_global_generator_is_left_where_it_was():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one_by_one(automatic("rand_augment", None), images_of(3), Draws(0, 0, torch.arange(3)))
    assert torch.equal(torch.rand(3), wanted)


def test_resident_and_streamed_images_come_out_the_same():
    samples = ArraySamples(images_of(24), torch.arange(24) % 3, [str(each) for each in range(24)])
    stores = (
        ResidentStore(samples.labels, samples.keys, samples.pixels.numpy(), torch.arange(24)),
        StreamedStore(samples, samples.labels, samples.keys, 0),
        StreamedStore(samples, samples.labels, samples.keys, 1),
    )
    seen = []
    for store in stores:
        batches = TrainBatches(
            store,
            batch_size=8,
            seed=0,
            upload=lambda tensor: tensor,
            transform=lambda images, draws: images.float(),
            item=custom(auto="rand_augment").item,
        )
        seen.append(torch.cat([batch.images for batch in batches.epoch(1)]))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("name", ["none", "trivial_augment"])
def test_a_strength_that_cannot_act_is_refused(name):
    with pytest.raises(ConfigError, match=f"aug.auto_strength: it cannot act with aug.auto={name}"):
        automatic(name, 0.5)
