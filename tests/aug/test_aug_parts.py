"""The parts of the room: every option acts, off is off, and what cannot act is refused before the run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended, fingerprint

from trainer.aug.custom import custom
from trainer.aug.light import light
from trainer.aug.mixing import Mixer
from trainer.aug.none import none
from trainer.aug.policy import Policy
from trainer.aug.strong import strong
from trainer.aug.transform import Transform
from trainer.aug.tutorial import tutorial
from trainer.aug.upright import upright
from trainer.feed.batches import one_by_one
from trainer.registry import AUGS, entries
from trainer.rng import Draws
from trainer.schema import describe
from trainer.size import square

Train = Callable[..., Ended]

ACTING = {
    "auto": "rand_augment",
    "auto_strength": 1.0,
    "crop": 0.5,
    "crop_aspect": 1.5,
    "flip": 1.0,
    "rotate": 20.0,
    "shear": 0.2,
    "zoom": 1.3,
    "shift": 0.2,
    "perspective": 0.3,
    "padding": "zeros",
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 40.0,
    "greyscale": 1.0,
    "noise": 0.1,
    "salt_pepper": 0.2,
    "erase": 1.0,
    "erase_area": 0.05,
    "mixup": 0.4,
    "cutmix": 1.0,
}
NEEDS = {"auto_strength": {"auto": "rand_augment"}, "erase_area": {"erase": 1.0}, "padding": {"shift": 0.2}}
NOTHING = {
    "zoom": 1.0,
    "crop_aspect": 1.0,
    "padding": None,
    "auto": "none",
    "auto_strength": None,
    "erase_area": None,
}


def seen(policy: Policy) -> torch.Tensor:
    """What a model sees of eight random images, everything of the policy applied."""
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    draws = Draws(1, 0, torch.arange(8))
    if policy.item is not None:
        images = one_by_one(policy.item, images, draws)
    pixels = Transform(policy, square(16), (0.5,) * 3, (0.2,) * 3)(images, draws)
    return Mixer(policy.mix, 8)(pixels, torch.arange(8), draws)[0] if policy.mix else pixels


@pytest.mark.parametrize("option", entries("aug")["custom"].options)
def test_every_option_changes_what_the_model_sees(option: str) -> None:
    needs = NEEDS.get(option, {})
    without, acting = seen(custom(**needs)), seen(custom(**needs, **{option: ACTING[option]}))
    assert not torch.allclose(acting, without, atol=0.05)
    assert acting.isfinite().all()


@pytest.mark.parametrize("name", entries("aug"))
def test_every_option_of_every_part_can_be_set_to_nothing(name: str) -> None:
    options = entries("aug")[name].options
    off = AUGS.builder(name)(**{option: NOTHING.get(option, 0.0) for option in options})
    assert off == none() == Policy()
    if name not in ("none", "custom"):
        assert AUGS.builder(name)() != none()


@pytest.mark.parametrize("name", entries("aug"))
def test_every_part_says_what_it_does(name: str) -> None:
    policy = AUGS.builder(name)()
    acts = policy.item or policy.geometry or policy.colour or policy.after or policy.mix
    assert bool(policy.words) == bool(acts)


@pytest.mark.parametrize("option", sorted(set(ACTING) - {"auto_strength", "crop_aspect", "erase_area", "padding"}))
def test_what_acts_is_in_words(option: str) -> None:
    assert custom().words == ()
    (word,) = custom(**{option: ACTING[option]}).words
    value = ACTING[option]
    expected = {"flip": "flip", "auto": "rand_augment", "rotate": "turn 20"}
    assert word == expected.get(option, f"{option} {value}".removesuffix(".0"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "aug upright (turn 10, zoom 1.1, shift 0.06, brightness 0.2, …);"),
        (("aug=light",), "aug light (flip, turn 10, zoom 1.1, shift 0.06, …);"),
        (("aug=light", "aug.flip=0", "aug.rotate=0", "aug.zoom=1"), "aug light (shift 0.06, brightness 0.2, contrast"),
        (("aug=tutorial",), "aug tutorial (flip, mixup 0.4, turn 15, zoom 1.1, …);"),
        (("aug=custom", "aug.flip=1", "aug.cutmix=1"), "aug custom (flip, cutmix 1);"),
        (("aug=light", "aug.flip=alternate"), "aug light (flip, turn 10, zoom 1.1, shift 0.06, …);"),
        (("aug=none",), "aug none;"),
        (("aug=custom",), "aug custom;"),
    ],
)  # fmt: skip
def test_the_opening_line_says_what_an_augmentation_does(train: Train, words: tuple[str, ...], told: str) -> None:
    ended = train("epochs=1", "loss=cross_entropy", *words)
    assert ended.code == 0 and told in ended.out, ended.out


def mirrored(epoch: int, samples: torch.Tensor | None = None) -> torch.Tensor:
    """Which images an alternating flip mirrors in this epoch."""
    draws = Draws(1, epoch, torch.arange(200) if samples is None else samples)
    return custom(flip="alternate").geometry[0](draws, 1.0)[:, 0, 0] < 0


def test_an_alternating_flip_shows_each_image_both_ways_in_any_two_epochs_and_begins_at_random() -> None:
    first, second, third = (mirrored(epoch) for epoch in (3, 4, 5))
    assert torch.equal(first, ~second) and torch.equal(first, third)
    assert 70 < int(first.sum()) < 130
    odds = torch.arange(1, 200, 2)
    assert torch.equal(mirrored(3, odds), first[odds])  # whoever the neighbours are


def test_an_alternating_flip_mirrors_and_does_nothing_else() -> None:
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    only_flip = light(flip="alternate", rotate=0, zoom=1, shift=0, brightness=0, contrast=0)
    views = [
        Transform(only_flip, square(16), (0.5,) * 3, (0.2,) * 3)(images, Draws(1, epoch, torch.arange(8)))
        for epoch in (0, 1)
    ]
    assert torch.equal(views[0], views[1].flip(3)) and not torch.equal(views[0], views[1])


@pytest.mark.parametrize("name", entries("aug"))
def test_an_option_takes_the_same_values_in_every_part(name: str) -> None:
    everywhere = entries("aug")["custom"].options
    for option, found in entries("aug")[name].options.items():
        assert describe(found.annotation) == describe(everywhere[option].annotation)


def test_strong_can_say_everything() -> None:
    assert list(entries("aug")["strong"].options) == list(entries("aug")["custom"].options)


def test_the_parts_are_the_custom_one_with_other_defaults() -> None:
    for part, policy in ((light, light()), (upright, upright()), (strong, strong()), (tutorial, tutorial())):
        defaults = {name: option.default for name, option in entries("aug")[part.__name__].options.items()}
        assert torch.equal(seen(policy), seen(custom(**defaults)))
    assert len(strong().geometry) == 7 and len(strong().colour) == 5 and len(strong().after) == 1
    assert torch.equal(seen(upright()), seen(light(flip=0.0)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("aug=custom", "aug.mixup=0.2", "loss=focal"), "mixed labels, which loss 'focal' cannot take"),
        (("aug=light", "aug.cutmix=1", "loss=l1"), "mixed labels, which loss 'l1' cannot take"),
        (("aug=tutorial", "batch_size=1"), "a batch of one image has none to mix it with"),
        (("aug=custom", "aug.erase_area=0.2"), "aug.erase_area: nothing is erased"),
        (("aug=custom", "aug.crop=0.5", "aug.padding=zeros"), "aug.padding=zeros: nothing looks beyond the edges"),
        (("aug=strong", "aug.auto_strength=0.5"), "aug.auto_strength: it cannot act with aug.auto=none"),
        (("aug=custom", "aug.hue=200"), "aug.hue: 200 is not an angle from 0 to 180 degrees"),
        (("aug=custom", "aug.mixup=-1"), "aug.mixup: -1 is not a number from 0 up"),
        (("aug=strong", "aug.auto=randaugment"), "Did you mean 'rand_augment'?"),
        (("aug=tutorial", "aug.hue=20"), "It takes flip, rotate, zoom, brightness, salt_pepper, noise, mixup."),
    ],
)
def test_what_cannot_act_is_refused_before_the_run(
    train: Train, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = train("name=x", *words)
    assert ended.code == 2 and message in ended.err and len(ended.err.splitlines()) == 1
    assert not (tmp_path / "outputs" / "x").exists()


def test_mixing_goes_with_the_losses_that_take_soft_labels(train: Train) -> None:
    words = ("aug=strong", "aug.mixup=0.2", "aug.cutmix=1.0", "epochs=1", "accumulate=2")
    assert train(*words, "loss.smoothing=0.1", "loss.class_weights=balanced").code == 0
    assert train(*words, "loss=binary_cross_entropy").code == 0


@pytest.mark.slow
def test_a_run_with_every_augmentation_is_killed_and_resumed_bit_identical(spawn: Train, tmp_path: Path) -> None:
    everything = [f"aug.{option}={value}" for option, value in ACTING.items()]
    words = ("aug=custom", *everything, "data.cache=none", "save_every=3")
    assert spawn(*words, "workers=1", "name=unbroken").code == 0
    assert spawn(*words, "workers=0", "name=killed", fault="kill@step=8").code == -9
    assert spawn(*words, "workers=1", "name=killed", "resume=auto").code == 0
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")
