"""Whether a few images are learnt by heart, at the run's rate and at others, on copies that are thrown away."""

import math
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from trainer import rng
from trainer.build.parts import build_part
from trainer.build.training import Job
from trainer.config import Config
from trainer.doctor.finding import Finding, Severity
from trainer.doctor.reading import default_rate
from trainer.doctor.rules.rates import FAR_FROM_USUAL
from trainer.engine.evaluate import evaluate
from trainer.engine.health import alarm
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.engine.metrics import scores_of
from trainer.engine.state import State
from trainer.feed.batches import Batch
from trainer.feed.pack import Progress
from trainer.finetune.freezing import BeginEpoch
from trainer.model.staged import evaluating
from trainer.report.samples import of_many_classes
from trainer.sched.schedule import first_climb

_IMAGES, _FEWER = 16, 8
"""A handful; the smaller one where steps take long."""
_MOST_STEPS, _FEWEST_STEPS = 100, 20
_ENOUGH = 60
"""Steps in which whatever can learn learns them."""
_LOWER, _HIGHER = (0.1, 0.01), (10.0, 100.0, 1000.0)
"""Factors of the run's rate that are tried where it does not learn them all."""
_OFTEN = 10
"""Steps between two looks at what the weights answer outside training."""
_PAST = 5
"""Steps behind the highest rate after which nothing leaps that has not leapt."""
_LEAPT = 3.0
"""Times the first loss that a loss is not to reach on images that it sees again and again."""
_NEARLY, _HALF_WAY = 0.9, 0.7
"""Scores: a few images stand in the way, a wrong label among them, say; and it is slow, but it learns."""


@dataclass(frozen=True)
class Learnt:
    """What a handful of images came to."""

    images: int
    steps: int
    """That were taken; where all were right, that were taken until then."""
    score: float
    """The best of the steps, and of looks outside training; a share of 1."""
    first_loss: float
    highest_loss: float
    last_loss: float

    @property
    def whole(self) -> bool:
        return self.score >= 1

    @property
    def leapt(self) -> bool:
        """Whether the loss left, for a while or for good."""
        return not self.highest_loss <= _LEAPT * self.first_loss


@dataclass(frozen=True)
class Handful:
    """A few training images as one batch, over and over; as validation sees them, so none is augmented."""

    batch: Batch
    steps: int

    @property
    def per_step(self) -> tuple[int, ...]:
        return (1,) * self.steps

    @property
    def beside(self) -> bool:
        """There is nothing to prepare."""
        return False

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter([self.batch] * (self.steps - start))


def some_images(job: Job, most: int) -> Batch:
    """Training images of as many classes as can be, the same every time, as validation sees them."""
    store, how, task = job.batches.store, job.val_batches, job.recipe.criterion.task
    labelled = set(task.has_label(store.labels).nonzero().flatten().tolist())
    order = [index for index in rng.permutation(len(store), "check").tolist() if index in labelled]
    known = torch.tensor(order, dtype=torch.int64)
    chosen = known[of_many_classes(store.labels[known], range(len(known)), most)]
    labels = how.upload(store.labels[chosen])
    return Batch(how.transform(how.upload(next(iter(store.gather([chosen]))))), labels, labels, chosen)


def learn(config: Config, job: Job, seconds: float, progress: Progress) -> dict[float, Learnt]:
    """What a copy learns of a few images at the run's rate, in the shape of its schedule, by the factor of the rate: 1.

    Where it does not learn them all, at other rates too, as far as the time goes: at lower ones first where the loss
    leapt. Empty where that is too short for any.
    """
    ends = time.monotonic() + seconds
    for images in (_IMAGES, _FEWER):
        batch = some_images(job, images)
        a_step = _seconds_of_a_step(config, job, batch)
        steps = min(_MOST_STEPS, int((ends - time.monotonic()) / a_step))
        if steps >= _ENOUGH:
            break
    if steps < _FEWEST_STEPS:
        return {}
    handful = Handful(batch, steps)
    tried = {1.0: _learn(config, job, handful, 1.0)}
    others = (*_LOWER, *_HIGHER) if tried[1.0].leapt else (*_HIGHER, *_LOWER)
    for number, factor in enumerate(others):
        if any(learnt.whole for learnt in tried.values()) or time.monotonic() + steps * a_step > ends:
            break
        progress("a handful of images at other rates", number, len(others))
        tried[factor] = _learn(config, job, handful, factor)
    progress("a handful of images at other rates", len(others), len(others))
    return tried


def learns(tried: dict[float, Learnt]) -> bool:
    """Whether it learns at any rate, but for a few images."""
    return any(learnt.score >= _NEARLY for learnt in tried.values())


def of_handful(
    tried: dict[float, Learnt], config: Config, job: Job, steps: int, causes: Sequence[Finding]
) -> Iterator[Finding]:
    """X1: a handful of images is learnt until the accuracy is 1.

    steps: of the whole run. causes: what else was found that may be the reason.
    """
    own = tried.get(1.0)
    if own is None or own.whole:
        if own and own.leapt:
            what = "At the highest rate the loss leaps, even on a handful of images that it sees again and again."
            yield Finding("rate_too_high", "note", what, _figures(own, job), 0.6, _rate(config, 0.3), practice="X3")
        return
    evidence = _figures(own, job)
    other = next((factor for factor, learnt in tried.items() if learnt.whole), None)
    if other is None:
        yield from _far_too_high(own, evidence, config) or _nowhere(tried, evidence, causes)
        return
    evidence += f"; 100 % after {tried[other].steps} steps at {other:g} times the rate"
    if other < 1:
        severity: Severity = "fault" if own.leapt or own.score < _HALF_WAY else "warning"
        what = "This rate is too high to learn even a handful of images; a lower one does."
        yield Finding("rate_too_high", severity, what, evidence, 0.85, _rate(config, other), practice="X3")
    elif steps < other * own.steps and own.score < _HALF_WAY and job.recipe.probe is None:
        severity = "fault" if steps < other / 10 * own.steps else "warning"
        what = "This rate is too low for a run of so few steps: a handful of images is learnt at a higher one only."
        evidence += f"; the run has {steps:,}"
        yield Finding("rate_too_low", severity, what, evidence, 0.75, _rate(config, other), practice="X1")


def in_words(tried: dict[float, Learnt]) -> list[str]:
    """One line, if there is anything to tell."""
    own = tried.get(1.0)
    if own is None:
        return []
    learnt = f"by heart in {own.steps} steps" if own.whole else f"to {own.score:.0%} in {own.steps} steps"
    return [f"a handful: {own.images} images learnt {learnt} at the run's rate"]


def _far_too_high(own: Learnt, evidence: str, config: Config) -> list[Finding]:
    """What is said where the loss leaps at a rate so high that no rate that was tried is a usual one."""
    optim = config.parts["optim"]
    rate, usual = optim.options.get("lr"), default_rate(optim.name)
    if not own.leapt or not usual or not isinstance(rate, float | int) or rate <= FAR_FROM_USUAL * usual:
        return []
    what = "The rate is far too high: the loss leaps, even on a handful of images that it sees again and again."
    evidence += f"; optim.lr is {rate / usual:.3g} times what {optim.name} has by default"
    return [Finding("rate_too_high", "fault", what, evidence, 0.85, f"optim.lr={usual:.2g}", practice="X3")]


def _nowhere(tried: dict[float, Learnt], evidence: str, causes: Sequence[Finding]) -> Iterator[Finding]:
    """What is said where no rate learns them all."""
    if learns(tried):
        return
    others = [f"{learnt.score:.0%} at {factor:g} times the rate" for factor, learnt in tried.items() if factor != 1]
    sure = tried[1.0].steps >= _ENOUGH and others and (len(others) > 1 or causes)
    severity: Severity = "fault" if sure else "warning"
    what = "A handful of images is not learnt by heart: what is wrong is no matter of more images or epochs."
    words = next((each.words for each in causes if each.words), "")
    advice = "Look at the images and labels (python -m trainer preview), at the model and at the loss."
    if max(learnt.score for learnt in tried.values()) >= _HALF_WAY:
        severity, what = "note", "A handful of images is learnt slowly: many steps will be wanted."
    yield Finding("handful_not_learnt", severity, what, "; ".join([evidence, *others]), 0.8, words, advice, "X1")


def _figures(learnt: Learnt, job: Job) -> str:
    name = job.recipe.criterion.task.step_score_in_words
    losses = f"{learnt.first_loss:.3g} at first, {learnt.highest_loss:.3g} at most, {learnt.last_loss:.3g} at last"
    return f"{name} {learnt.score:.0%} on {learnt.images} images after {learnt.steps} steps, loss {losses}"


def _rate(config: Config, factor: float) -> str:
    lr = config.parts["optim"].options.get("lr")
    return f"optim.lr={lr * factor:.2g}" if isinstance(lr, float | int) else ""


def _learn(config: Config, job: Job, handful: Handful, factor: float) -> Learnt:
    """On a copy of the model, until all are right and the highest rate lies behind, or the steps are taken."""
    state, schedule = _copied(config, job, factor), build_part(config, "sched", handful.steps)
    recipe = replace(job.recipe, schedule=schedule, begin_epoch=_as_in_the_last_epoch(job), compile=False)
    past = first_climb(schedule, handful.steps) + _PAST
    best, reached, losses = 0.0, 0, list[float]()
    for _ in train_epoch(state, handful, recipe, Interrupt()):
        scores = scores_of(state.sums - state.logged_sums, empty=math.nan)
        state.logged_sums = state.sums.clone()
        losses.append(scores.loss)
        best = max(best, scores.score)
        if state.step % _OFTEN == 0 and best < 1:
            best = max(best, _outside_training(state, handful, job))
        reached = reached or (state.step if best >= 1 else 0)
        if (reached and state.step >= past) or alarm(state) is not None:
            break
    highest = math.inf if not all(map(math.isfinite, losses)) else max(losses)
    return Learnt(len(handful.batch.labels), reached or state.step, best, losses[0], highest, losses[-1])


def _as_in_the_last_epoch(job: Job) -> BeginEpoch:
    """All learns that ever will."""
    return lambda model, _: job.recipe.begin_epoch(model, job.plan.epochs - 1)


def _copied(config: Config, job: Job, factor: float) -> State:
    """The run before its first step, at this factor of its rate."""
    model = deepcopy(job.state.model)
    optimizer = build_part(config, "optim", model)
    for group in optimizer.param_groups:
        group["initial_lr"] *= factor
    skips = config.settings.on_nonfinite == "skip"
    return State.begin(model, optimizer, job.recipe.precision.scaler(skip=skips), averaging=False)


def _outside_training(state: State, handful: Handful, job: Job) -> float:
    """The score of the weights as validation would measure it: without dropout, by the running statistics."""
    with evaluating(state.model):
        return evaluate(
            state.model, handful.epoch(0, handful.steps - 1), job.recipe.criterion, job.recipe.precision
        ).score


def _seconds_of_a_step(config: Config, job: Job, batch: Batch) -> float:
    """The first step, which warms up, left out."""
    state, times = _copied(config, job, 1.0), [time.perf_counter()]
    recipe = replace(job.recipe, begin_epoch=_as_in_the_last_epoch(job), compile=False)
    for _ in train_epoch(state, Handful(batch, 2), recipe, Interrupt()):
        state.sums.cpu()  # a GPU has done it by then
        times.append(time.perf_counter())
    return times[-1] - times[-2]
