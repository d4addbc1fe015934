"""What the rules ask of a history, each answered in one place. None is what the records do not tell."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from trainer.doctor.history import Epoch, History
from trainer.registry import REQUIRED, entries

LEAST_EPOCHS = 3
LEAST_STEPS = 40
"""What a run must have taken before it is said to have failed: any run begins at chance."""
SMALL = 3_000
"""Parameters: fewer hold little of a picture."""
DOUBT = 2.0
"""Standard errors: what lies within so many of chance may be chance."""

_NORMED = ("small_cnn", "xresnet18", "xresnet34", "xresnet50", "xresnet101", "timm", "backbone")
"""The models that have batch norm, or nearly always have."""


def enough(history: History) -> bool:
    """Whether there was time to learn in."""
    return len(history.epochs) >= LEAST_EPOCHS and (steps_taken(history) or LEAST_STEPS) >= LEAST_STEPS


def steps_taken(history: History) -> int | None:
    """Optimizer steps."""
    if history.steps_per_epoch:
        return history.steps_per_epoch * len(history.epochs)
    return history.steps[-1].number if history.steps else None


def num_classes(history: History) -> int | None:
    """Where each picture has one of them."""
    return len(history.classes) if history.task == "single" and len(history.classes) > 1 else None


def chance(history: History) -> float | None:
    """What is right if always the commonest class is answered."""
    classes, counts = num_classes(history), history.images_of_each
    if classes is None:
        return None
    return max(counts) / sum(counts) if sum(counts) else 1 / classes


def guessing_loss(history: History) -> float | None:
    """The cross-entropy of one who knows nothing, ln(classes); None of another loss."""
    classes = num_classes(history)
    return math.log(classes) if classes and said(history, "loss.name") in (None, "cross_entropy") else None


def progress(history: History, score: float | None) -> float | None:
    """How far a score is on the way from chance, 0, to 1; None where training has one class alone: chance is 1."""
    luck = chance(history)
    return None if score is None or luck is None or luck == 1 else (score - luck) / (1 - luck)


def learnt(history: History) -> float | None:
    """How far training has come at last, by its score, or by its loss where no score is told."""
    last = last_with(history, lambda epoch: epoch.train_score)
    if last is not None and (share := progress(history, last.train_score)) is not None:
        return share
    loss, start = last_with(history, lambda epoch: epoch.train_loss), guessing_loss(history)
    return None if loss is None or loss.train_loss is None or start is None else 1 - loss.train_loss / start


def held(history: History) -> float | None:
    """How far the best epoch has come in validation."""
    return progress(history, best_val(history))


def best_val(history: History) -> float | None:
    """The highest validation score."""
    return max((epoch.val_score for epoch in history.epochs if epoch.val_score is not None), default=None)


def may_be_chance(history: History, score: float | None, images: int | None) -> bool | None:
    """Whether so many images would be answered so well by luck."""
    luck = chance(history)
    if score is None or luck is None:
        return None
    return score <= luck + max(0.02, DOUBT * standard_error(luck, images))


def standard_error(share: float, images: int | None) -> float:
    """Of a share that was found on so many images; as on 100 where their number is not known."""
    return math.sqrt(share * (1 - share) / max(1, images or 100))


def at_chance(history: History) -> bool:
    """Whether training never came off chance, neither by its score nor by its loss."""
    if not enough(history):
        return False
    score = max((epoch.train_score for epoch in history.epochs if epoch.train_score is not None), default=None)
    by_luck = may_be_chance(history, score, history.train_images)
    losses, start = train_losses(history), guessing_loss(history)
    has_fallen = bool(losses and start and min(losses) < 0.97 * start)
    return has_fallen is False and bool(by_luck if by_luck is not None else losses and start)


def train_losses(history: History) -> list[float]:
    """Epoch by epoch, where told."""
    return [epoch.train_loss for epoch in history.epochs if epoch.train_loss is not None]


def val_losses(history: History) -> list[float]:
    """The loss that compares with training's, where told."""
    told = (epoch.val_loss if epoch.val_objective is None else epoch.val_objective for epoch in history.epochs)
    return [loss for loss in told if loss is not None]


def first_loss(history: History) -> float | None:
    """The loss of the first step, before anything was learnt."""
    return history.steps[0].loss if history.steps and history.steps[0].number == 1 else None


def last_with(history: History, told: Callable[[Epoch], object]) -> Epoch | None:
    """The last epoch of which this is told."""
    return next((epoch for epoch in reversed(history.epochs) if told(epoch) not in (None, (), [], {})), None)


def update_ratio(history: History) -> float | None:
    """The largest of the epochs' update-to-weight ratios, each the median over the stages that learn."""
    ratios = [[ratio for ratio in epoch.vitals.updates.values() if ratio > 0] for epoch in history.epochs]
    return max((median(each) for each in ratios if each), default=None)


def rates(history: History) -> dict[int, float]:
    """The rate over the run, by the number of the step: of those that are told of, and of the last of each epoch.

    Of a short run few steps are told of, most of them in its first epoch. By the epoch where no step is told of.
    """
    steps = {step.number: step.lr for step in history.steps if step.lr is not None}
    epochs = {epoch.number: epoch.lr for epoch in history.epochs if epoch.lr is not None}
    if not steps:
        return epochs
    per_epoch = history.steps_per_epoch
    ends = {number * per_epoch: lr for number, lr in epochs.items()} if per_epoch else {}
    return dict(sorted({**ends, **steps}.items()))


def said(history: History, key: str) -> Any:
    """An option of the config by its words, 'optim.lr'; None where it is not told."""
    room, _, option = key.partition(".")
    value = history.config.get(room)
    return (value.get(option) if isinstance(value, Mapping) else None) if option else value


def has_batch_norm(history: History) -> bool:
    """As far as the config tells, and where it is not frozen for the whole run."""
    if said(history, "finetune.name") == "probe" or said(history, "finetune.norm") == "frozen":
        return False
    return said(history, "model.name") in _NORMED or bool(said(history, "model.batch_norm"))


def is_small(history: History) -> bool:
    """Whether the network has hardly any weights, as far as is told."""
    parameters = history.about.get("parameters")
    return isinstance(parameters, int) and parameters <= SMALL


def usual_rate(history: History) -> float | None:
    """The rate that the optimizer has where nothing is said."""
    name = said(history, "optim.name")
    return default_rate(name) if isinstance(name, str) else None


def default_rate(optimizer: str) -> float | None:
    """The rate that an optimizer of this name has where nothing is said."""
    part = entries("optim").get(optimizer)
    default = part.options["lr"].default if part and "lr" in part.options else REQUIRED
    return float(default) if isinstance(default, int | float) else None


def rate(history: History) -> float | None:
    """The base rate: the config's, or the highest that was used."""
    stated = said(history, "optim.lr")
    return float(stated) if isinstance(stated, int | float) else max(rates(history).values(), default=None)


def shown(figures: Sequence[float]) -> str:
    """0.485 0.456 0.406: one figure a channel."""
    return " ".join(f"{figure:.3g}" for figure in figures)


def falls(values: Sequence[float]) -> float:
    """By what share of where it began the sequence has fallen at its end: 0.1 is a tenth."""
    return (values[0] - values[-1]) / abs(values[0]) if values and values[0] else 0.0
