"""What is trained in a case, and when it is killed: a function of (seed, case number), so that a finding repeats."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import get_args

from trainer.schema import Cache

_CACHES = [each for each in get_args(Cache) if each != "device"]
"""A GPU's memory is not for these runs, which are on the CPU."""

_PARTS = Path(__file__).parent / "conf"
_SMALL = ("data.size=12", "model.widths=[16,32]", "batch_size=8", "device=cpu")
_KILLED_IN = (*["step"] * 4, *["save"] * 3, *["validation"] * 2, "start-up", "end")
"""The phases that are aimed at, by how often."""

_AUGMENTED = (
    ("aug=none",),
    ("aug=light",),
    ("aug=light", "aug.mixup=0.4"),
    ("aug=custom", "aug.cutmix=1", "aug.noise=0.1"),
    ("aug=custom", "aug.mixup=0.2", "aug.cutmix=1", "aug.flip=0.5", "aug.salt_pepper=0.05"),
    ("aug=strong",),
)
_OPTIMIZED = (
    ("optim=sgd", "optim.lr=0.05"),
    ("optim=sgd", "optim.lr=0.05", "optim.nesterov=false", "optim.debias=true", "optim.decay=decoupled"),
    ("optim=adam",),
    ("optim=adamw",),
    ("optim=adamw", "optim.stage_decay=0.5"),
    ("optim=rmsprop", "optim.momentum=0.9", "optim.centered=true"),
    ("optim=adagrad",),
    ("optim=lamb",),
)
_SCHEDULED = (
    ("sched=plateau", "sched.patience=1", "monitor=val_loss"),
    ("sched=plateau", "sched.patience=1", "sched.factor=0.5", "monitor=val_accuracy"),
    ("sched=one_cycle",),
    ("sched=warmup_cosine",),
    ("sched=cosine_restarts",),
    ("sched=step",),
    ("sched=constant",),
)
_STOPPED = (("epochs=6",), ("epochs=9", "early_stop=2", "monitor=val_loss"), ("epochs=9", "early_stop=3"))
_FINETUNED = (("finetune=head_first",), ("finetune=gradual", "finetune.norm=running"), ("finetune=probe_first",))
_LOST = (
    ("loss=cross_entropy",),
    ("loss=cross_entropy", "loss.smoothing=0.1"),
    ("loss=cross_entropy", "loss.class_weights=balanced"),
    ("loss=binary_cross_entropy",),
)
_TORN = ("--config-dir", str(_PARTS), "plugins=[torture.torn]", "loss=torn")
_SURVIVED = (
    (*_TORN, "on_nonfinite=rollback", "loss.share=0.004", "save_every=0"),
    (*_TORN, "on_nonfinite=rollback", "loss.share=0.004", "save_every=5"),
    (*_TORN, "on_nonfinite=skip", "loss.share=0.03"),
    (*_TORN, "on_nonfinite=stop", "loss.share=0.004"),
)
"""A loss that is now and then not a number. Rollback goes to the last checkpoint, so save_every stays as it is."""


@dataclass(frozen=True)
class Kill:
    """When a run is killed, as shares of what the unbroken one took.

    Without a phase, after that share of the wall time; with one, at that share of the times that it is entered, and
    that far into it.
    """

    share: float
    phase: str | None = None
    depth: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """A start of the run that is killed: what may be said anew each time, and when it ends."""

    words: tuple[str, ...]
    kill: Kill
    as_command: bool
    """In a process that starts from nothing, imports included; else in a fork of one that has imported everything."""


@dataclass(frozen=True)
class Case:
    number: int
    words: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    last_words: tuple[str, ...]
    """What is said anew to the start that goes to the end."""


@dataclass(frozen=True)
class Props:
    """What the cases share: class folders of images, how many there are, and the weights of a run that learnt them."""

    images: Path
    num_images: int
    weights: Path


def draw_case(seed: int, number: int, props: Props) -> Case:
    """The case of that number, from 1 up."""
    draw = Random(f"{seed} {number}")
    drawn = ("data=glyphs", "data.classes=3", f"data.images={props.num_images}")
    words = [
        *_SMALL,
        *draw.choice((drawn, ("data=folder", f"data.root={props.images}"))),
        *draw.choice(_AUGMENTED),
        *draw.choice(_OPTIMIZED),
        *draw.choice(_SCHEDULED),
        *draw.choice(_STOPPED),
        *(draw.choice(_LOST) if draw.random() < 0.8 else draw.choice(_SURVIVED)),
        *draw.choice((("model.dropout=0",), ("model.dropout=0.3",), ("model.dropout=0.3", "model.noise=0.1"))),
        *draw.choice(((), (), (), *_FINETUNED)),
        f"precision={draw.choices(('fp32', 'bf16', 'fp16'), (45, 45, 10))[0]}",
        f"accumulate={draw.choice((1, 1, 2, 3))}",
        f"ema={draw.choice((0, 0.9, 0.99))}",
        f"clip_norm={draw.choice(('null', 1))}",
        f"log_every={draw.choice((1, 3, 10))}",
        f"keep_every={draw.choice((0, 0, 2))}",
        f"data.val={draw.choice((0.1, 0.1, 0.3, 'test'))}",
        f"channels_last={draw.choice(('true', 'false'))}",
        f"seed={draw.randrange(1000)}",
    ]
    if any(word.startswith("finetune=") for word in words):
        words.append(f"model.weights={props.weights}")
    if "data=glyphs" in words and "loss=torn" not in words and Random(f"{seed} {number} task").random() < 0.4:
        words = _of_several_labels(words)
    is_free = not any(word.startswith("save_every=") for word in words)
    num_kills = draw.choices((1, 2, 3, 5), (50, 25, 15, 10))[0]
    attempts = tuple(_attempt(draw, is_free) for _ in range(num_kills))
    return Case(number, tuple(words), attempts, _said_anew(draw, is_free))


def _attempt(draw: Random, is_free: bool) -> Attempt:
    aimed = Kill(draw.random(), draw.choice(_KILLED_IN), draw.random())
    kill = draw.choice((Kill(draw.random()), aimed, aimed))
    return Attempt(_said_anew(draw, is_free), kill, as_command=draw.random() < 0.1)


def _of_several_labels(words: list[str]) -> list[str]:
    """The same with several labels a picture, their loss and their score."""
    kept = [word for word in words if not word.startswith(("loss=", "loss.")) and word != "monitor=val_accuracy"]
    return [*kept, "task=multi"]


def _said_anew(draw: Random, is_free: bool) -> tuple[str, ...]:
    """What may differ from one start of a run to the next, and alters nothing. is_free: save_every too."""
    words = (f"workers={draw.choice((0, 2))}", f"data.cache={draw.choice(_CACHES)}")
    return (*words, f"save_every={draw.choice((0, 0, 1, 7))}") if is_free else words
