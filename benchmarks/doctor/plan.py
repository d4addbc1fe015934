"""Every run that is made: each fault on its grounds, and sound runs of many kinds."""

import os
from collections.abc import Iterator

from benchmarks.doctor.cases import Case, Fault, Ground, Half
from benchmarks.doctor.faults import FAULTS
from benchmarks.doctor.grounds import GROUNDS, of_half

FIRST_SEED: dict[Half, int] = {"tuning": 0, "held out": 100}
RUNS_OF_A_FAULT: dict[Half, int] = {"tuning": 3, "held out": 4}
SOUND: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("as it stands", ("shapes", "colours", "colours by CNN", "arrows", "arrows by LeNet", "glyphs"), ()),
    ("as it stands", ("textures", "hooks", "flags", "fruit", "letters"), ()),
    ("one epoch", ("shapes", "colours", "textures", "flags"), ("epochs=1",)),
    ("two epochs", ("glyphs", "arrows", "letters", "hooks"), ("epochs=2",)),
    ("long", ("colours", "flags"), ("epochs=100",)),
    ("long, augmented", ("arrows", "textures"), ("epochs=50",)),
    ("smoothed and mixed", ("shapes", "textures"), ("loss.smoothing=0.1", "aug.mixup=0.4")),
    ("stopped early", ("shapes", "textures", "flags"), ("epochs=30", "early_stop=6")),
    ("averaged weights", ("arrows", "textures"), ("ema=0.95",)),
    ("constant rate", ("colours", "flags"), ("sched=constant",)),
    ("rate in steps", ("colours by CNN", "hooks"), ("sched=step",)),
    ("Lamb", ("shapes", "hooks"), ("optim=lamb", "optim.lr=0.02")),
    ("RMSprop", ("colours by CNN", "flags"), ("optim=rmsprop", "optim.lr=0.001")),
    ("Muon", ("shapes", "textures"), ("optim=muon", "optim.lr=0.02")),
    ("dropout and clipping", ("arrows", "hooks"), ("model.dropout=0.2", "clip_norm=1")),
    ("large batches", ("shapes", "textures"), ("batch_size=128", "epochs=24")),
    ("batches of 16", ("shapes", "fruit"), ("batch_size=16", "epochs=6")),
    ("accumulated", ("arrows", "hooks"), ("accumulate=2", "epochs=20")),
    ("grey, where colour tells nothing", ("shapes", "arrows", "textures", "hooks"), ("data.grey=true",)),
    ("two classes", ("glyphs", "letters"), ("data.classes=2", "data.images=600")),
    ("many classes, still learning", ("glyphs", "letters"), ("data.classes=24", "epochs=5")),
    ("several labels", ("glyphs", "letters"), ("task=multi", "data.images=800")),
    ("from weights", ("arrows from shapes", "hooks from textures"), ()),
    ("from weights, stage by stage", ("arrows from shapes", "hooks from textures"), ("finetune=gradual",)),
    ("from weights, a probe first", ("arrows from shapes", "hooks from textures"), ("finetune=probe_first",)),
    ("few images to validate on", ("glyphs", "letters"), ("limit_val=40",)),
    ("as presets have it", ("shapes", "textures", "hooks"), ("preset=auto", "epochs=10")),
    ("a large network", ("arrows by LeNet", "fruit"), ("model=xresnet18", "optim=sgd", "optim.lr=0.02", "epochs=5")),
    ("given pictures", ("Fashion-MNIST", "CIFAR-10"), ()),
)
"""Kind, grounds and words of the runs that have no fault."""


def planned(half: Half) -> list[Case]:
    """Its cases; of the grounds that want a folder of data, those whose folder the environment names."""
    cases = [*_planted(half), *_sound(half)]
    return [case for case in cases if not case.ground.needs or case.ground.needs in os.environ]


def _planted(half: Half) -> Iterator[Case]:
    for fault in FAULTS:
        grounds = of_half(half, fault.grounds)
        for number in range(RUNS_OF_A_FAULT[half]):
            ground, turn = grounds[number % len(grounds)], number // len(grounds)
            yield _case(ground, FIRST_SEED[half] + turn, fault)


def _sound(half: Half) -> Iterator[Case]:
    for kind, names, words in SOUND:
        for ground in of_half(half, names):
            yield _case(ground, FIRST_SEED[half] + 1, None, kind, words)


def _case(ground: Ground, seed: int, fault: Fault | None, kind: str = "", words: tuple[str, ...] = ()) -> Case:
    start = FIRST_SEED[ground.half]
    source = Case(GROUNDS[ground.weights_of], start, kind="to start from") if ground.weights_of else None
    return Case(ground, seed, fault, kind, words, source)
