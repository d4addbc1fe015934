"""As many epochs as fit into a stated time, by the time of a few steps; smaller pictures where few would fit."""

import time
from dataclasses import dataclass
from itertools import islice
from math import ceil
from statistics import mean

from trainer.build.training import Job, build
from trainer.engine.batch import steps_per_epoch
from trainer.engine.evaluate import evaluate
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.engine.probe import probe
from trainer.engine.rate_search import most_steps
from trainer.errors import ConfigError
from trainer.feed.pack import Progress
from trainer.model.expects import expected
from trainer.preset.draft import Draft, with_values
from trainer.size import size_of

_TIMED_SECONDS, _TIMED_STEPS = 5.0, 3
"""How long steps are timed at least; and how many of them, after the first, which warms up."""
_VALIDATED = 1.4
"""Times the steps of a search that it takes, since each of its trainings is validated."""
_CLOSING_SECONDS = 6.0
"""What the page, the pictures and the checkpoints of the end take."""
_MANY = 1000
"""Epochs of what is measured: in the last of so many all learns that ever will."""
_FEWEST_EPOCHS = 5
"""With fewer, smaller pictures learn more."""
_LATE = 0.1
"""Share of the budget by which a run may end late, rather than leave most of an epoch unused."""
_SIDE_STEP, _SMALLEST_SIDE = 32, 64
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Pace:
    """What was measured, in seconds."""

    step: float
    epoch: float
    """Its validation included."""
    steps: int
    """Of an epoch: how many."""
    built: float
    """To build the run, before the first step."""
    around: float
    """What surrounds all epochs, the building among it."""
    side: int
    """Pixels on a side of what the model saw: of a rectangle, of the square that has as many."""


def seconds_of(budget: str) -> float:
    """'90s', '10min' or '2h' in seconds."""
    number = budget.rstrip("sminh")
    return float(number) * _UNITS[budget[len(number) :]]


def fit_into(draft: Draft, budget: str, begun: float, progress: Progress, *, searches: bool = False) -> None:
    """Chooses epochs, and data.size where fewer than five epochs would fit. Raises ConfigError if not even one does.

    begun: when the run began, by time.monotonic(). What is timed are steps of this run, on a copy that is thrown
    away. searches: whether a rate is yet to be searched for in the same time.
    """
    if draft.config.is_probe:
        raise ConfigError("budget: finetune=probe takes no epochs, but what its pictures take once. Leave budget out.")
    if not draft.is_free("epochs"):
        raise ConfigError("budget: it chooses epochs, which are said too. Leave one of them out.")
    end = begun + seconds_of(budget)
    pace = _measured(draft, progress)
    if (side := _smaller_side(draft, pace, end)) is not None:
        draft.choose("data.size", side, f"with more, {budget} would be too short for {_FEWEST_EPOCHS} epochs.")
        pace = _measured(draft, progress)
    left = end - time.monotonic() - pace.around
    most = left + min(pace.epoch / 2, _LATE * seconds_of(budget))
    count = int(most / pace.epoch)
    while searches and count and count * pace.epoch + _seconds_of_a_search(pace, count) > most:
        count -= 1
    if left < pace.epoch or not count:
        around = time.monotonic() - begun + pace.around + (_seconds_of_a_search(pace, 1) if searches else 0.0)
        raise ConfigError(
            f"budget: {budget} is too short for one epoch, which takes {pace.epoch:.0f} s, with {around:.0f} s for all "
            f"else. Give {ceil((around + pace.epoch) / 60)}min, or take fewer images: limit_train=N."
        )
    draft.choose("epochs", count, f"an epoch takes {pace.epoch:.1f} s, and {budget} are to be spent.")


def _seconds_of_a_search(pace: Pace, epochs: int) -> float:
    """At most, for a run of so many epochs."""
    return pace.built + _VALIDATED * pace.step * most_steps(epochs * pace.steps)


def _smaller_side(draft: Draft, pace: Pace, end: float) -> int | None:
    """The largest side with which the fewest epochs fit, if the time of an epoch goes by its square; None to stay."""
    left = end - time.monotonic() - pace.around
    share = max(0.0, left) / (_FEWEST_EPOCHS * pace.epoch)
    side = max(_SMALLEST_SIDE, int(pace.side * share**0.5) // _SIDE_STEP * _SIDE_STEP)
    model = draft.config.parts["model"]
    known = expected(model.name, model.options)
    is_fixed = model.options.get("image_size") is not None or (known is not None and known.fixed)
    is_rectangle = isinstance(draft.value("data.size"), list)
    has_size = "size" in draft.config.parts["data"].options and draft.is_free("data.size") and not is_rectangle
    return side if has_size and side < pace.side and not is_fixed else None


def _measured(draft: Draft, progress: Progress) -> Pace:
    begun = time.perf_counter()
    job = build(with_values(draft.config, {"epochs": _MANY}), progress)
    built = time.perf_counter() - begun + _seconds_of_a_probe(job)
    validation = seconds_of_validation(job)
    tested = 0.0 if job.test_batches is None else validation * len(job.test_batches) / len(job.val_batches)
    step, steps = seconds_of_a_step(job, _TIMED_SECONDS), steps_per_epoch(job.batches)
    around = built + tested + _CLOSING_SECONDS
    return Pace(step, step * steps + validation, steps, built, around, size_of(job.about["preprocessing"]["size"]).side)


def _seconds_of_a_probe(job: Job) -> float:
    """Of fitting the head before the first step, where a run does: the second time, for features may be kept."""
    if job.recipe.probe is None:
        return 0.0
    probe(job.state, job.recipe.probe, job.recipe.criterion, Interrupt())
    begun = time.perf_counter()
    probe(job.state, job.recipe.probe, job.recipe.criterion, Interrupt())
    return time.perf_counter() - begun


def seconds_of_a_step(job: Job, least: float) -> float:
    """On average, of the last epoch, in which all learns that ever will; the first step, which warms up, left out.

    least: seconds that are timed. The state is used up.
    """
    times: list[float] = []
    last = job.plan.epochs - 1
    while sum(times[1:]) < least or len(times) <= _TIMED_STEPS:
        job.state.epoch, job.state.step = last, last * steps_per_epoch(job.batches)
        begun = time.perf_counter()
        for _ in train_epoch(job.state, job.batches, job.recipe, Interrupt()):
            job.state.count()  # a GPU has done it by then
            times.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            if sum(times[1:]) >= least and len(times) > _TIMED_STEPS:
                break
    return mean(times[1:])


def seconds_of_validation(job: Job) -> float:
    """Decoding included, where images are decoded anew; the first batch warms up."""
    count = min(_TIMED_STEPS, len(job.val_batches))
    evaluate(job.state.model, islice(job.val_batches, 1), job.recipe.criterion, job.recipe.precision)
    begun = time.perf_counter()
    evaluate(job.state.model, islice(job.val_batches, count), job.recipe.criterion, job.recipe.precision)
    return (time.perf_counter() - begun) * len(job.val_batches) / count
