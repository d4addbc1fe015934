"""The first steps, on a copy that is thrown away: the loss before them, and a few images learnt by heart."""

import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer import rng
from trainer.build.parts import build_part
from trainer.build.training import Job
from trainer.check.layers import not_finite
from trainer.config import Config
from trainer.doctor.finding import Finding, Severity
from trainer.engine.health import alarm
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import evaluate, steps_per_epoch, train_epoch
from trainer.engine.metrics import scores_of
from trainer.engine.state import State
from trainer.feed.batches import Batch
from trainer.feed.pack import Progress
from trainer.model.staged import evaluating
from trainer.report.samples import of_many_classes

LOOKED_AT = 32
"""Images that the first loss is the mean of, and that the layers are shown."""
_ABOVE, _FAR_ABOVE = 1.5, 3.0
"""Times the loss of answering all classes alike that the first loss may be."""
_HANDFUL, _SMALL_HANDFUL = 16, 8
"""Images; fewer where their steps take long."""
_MOST_STEPS, _FEWEST_STEPS = 100, 20
_FACTORS = (1.0, 0.1, 10.0)
"""Of the run's rate, that are tried one after the other."""
_LABEL = "a handful of images by heart"
_OFTEN = 10
"""Steps between two looks at what the weights answer outside training."""
_NEARLY = 0.9
"""Accuracy that only a few images stand in the way of: a wrong label among them, say."""
_ENOUGH = 60
"""Steps by which whatever can learn has learnt them."""
_PATIENT = 10
"""Times the steps that were tried: a run of so many may learn at a tenth of the rate."""


@dataclass(frozen=True)
class FirstLoss:
    """Of some training images, before the first step: means, as in training."""

    loss: float
    alike: float
    """The same loss, where all classes are answered alike."""
    nats: float
    """Plain cross-entropy."""
    nats_alike: float
    """The same, where all classes are answered alike: ln(classes), or of several labels ln 2."""


@dataclass(frozen=True)
class Learnt:
    """What a handful of images came to. score: the best of the steps, and of looks outside training; a share of 1."""

    images: int
    steps: int
    score: float
    first_loss: float
    last_loss: float

    @property
    def whole(self) -> bool:
        return self.score >= 1

    @property
    def burst(self) -> bool:
        """Whether the loss left instead of falling."""
        return not math.isfinite(self.last_loss) or self.last_loss > 2 * max(self.first_loss, 1.0)


@dataclass(frozen=True)
class Handful:
    """A few training images as one batch, over and over; as validation sees them, so none is augmented."""

    batch: Batch
    steps: int

    @property
    def per_step(self) -> tuple[int, ...]:
        return (1,) * self.steps

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


@torch.no_grad()
def first_loss(job: Job, batch: Batch) -> FirstLoss:
    """Of the model as it enters the first step: batch norm with the batch's statistics, unless it is frozen."""
    copy, recipe = deepcopy(job.state.model), job.recipe
    recipe.begin_epoch(copy, 0)
    torch.manual_seed(rng.seed_of(recipe.seed, 0, "layers"))
    with recipe.precision.autocast():
        logits = copy(batch.images)
    losses = [_loss(job, each, batch.labels) for each in (logits, torch.zeros_like(logits))]
    nats = [_nats(job, each, batch.labels) for each in (logits, torch.zeros_like(logits))]
    return FirstLoss(*losses, *nats)


def of_first_loss(found: FirstLoss, *, trained: bool) -> Iterator[Finding]:
    """X2: near ln(classes). trained: whether weights were loaded."""
    if not math.isfinite(found.loss + found.nats):
        yield not_finite(f"the first loss is {found.loss:g}")
        return
    if found.nats <= _ABOVE * found.nats_alike:
        return
    evidence = (
        f"cross-entropy {found.nats:.3g} before the first step, {found.nats_alike:.3g} if all were answered alike"
    )
    severity: Severity = "fault" if found.nats > _FAR_ABOVE * found.nats_alike else "warning"
    what = "The first loss is far above that of answering all classes alike: the first steps only undo that."
    advice = "Start the last layer small, and look at the scale of the images (python -m trainer preview)."
    if trained:
        advice = (
            "What the weights answer does not fit: other classes, other statistics of the images, or another order."
        )
    words = "model.head_init=zero" if trained else ""
    yield Finding("first_loss", severity, what, evidence, 0.9, words, advice, practice="X2")


def learn_a_handful(config: Config, job: Job, seconds: float, progress: Progress) -> dict[float, Learnt]:
    """What a copy learns of a few images at the run's rate, in the shape of its schedule, by the factor of the rate: 1.

    Where it does not learn them all, at a tenth and at ten times the rate too, as far as the time goes. Empty where
    that is too short for any.
    """
    ends = time.monotonic() + seconds
    for images in (_HANDFUL, _SMALL_HANDFUL):
        batch = some_images(job, images)
        a_step = _seconds_of_a_step(config, job, batch)
        steps = min(_MOST_STEPS, int((ends - time.monotonic()) / a_step))
        if steps >= _ENOUGH:
            break
    tried: dict[float, Learnt] = {}
    for number, factor in enumerate(_FACTORS):
        if steps < _FEWEST_STEPS or (tried and time.monotonic() + steps * a_step > ends):
            break
        progress(_LABEL, number, len(_FACTORS))
        tried[factor] = _learn(config, job, Handful(batch, steps), factor)
        if tried[factor].whole:
            break
    progress(_LABEL, len(_FACTORS), len(_FACTORS))
    return tried


def of_handful(tried: dict[float, Learnt], config: Config, job: Job) -> Iterator[Finding]:
    """X1: a handful of images is learnt until the accuracy is 1."""
    if not tried or tried[1.0].whole:
        return
    own, name = tried[1.0], job.recipe.criterion.task.step_score_in_words
    other = next((factor for factor, learnt in tried.items() if learnt.whole), None)
    evidence = f"{name} {own.score:.0%} on {own.images} images after {own.steps} steps, loss {_short(own)}"
    total = job.plan.epochs * steps_per_epoch(job.batches)
    lr = config.parts["optim"].options.get("lr")
    if other is not None and isinstance(lr, float | int):
        evidence += f"; at {other:g} times the rate 100 % after {tried[other].steps} steps"
        words = f"optim.lr={lr * other:.2g}"
        if other < 1:
            severity: Severity = "fault" if own.burst or own.score < 0.5 else "warning"
            what = "At this rate a handful of images cannot be learnt by heart, and at a tenth of it they can."
            yield Finding("rate_too_high", severity, what, evidence, 0.85, words, practice="X1")
        elif total < _PATIENT * own.steps and job.recipe.probe is None:
            what = "At this rate a handful of images is not learnt by heart, and at ten times the rate it is."
            yield Finding("rate_too_low", "warning", what, evidence, 0.7, words, practice="X1")
        return
    if own.score >= _NEARLY:
        return
    what = "A handful of images cannot be learnt by heart: what is wrong is no matter of more images or epochs."
    advice = "Look at the images and labels (python -m trainer preview), at the model and at the loss."
    others = [f"{learnt.score:.0%} at {factor:g} times the rate" for factor, learnt in tried.items() if factor != 1]
    severity = "fault" if own.steps >= _ENOUGH and others else "warning"
    evidence = "; ".join([evidence, *others])
    yield Finding("cannot_learn_a_handful", severity, what, evidence, 0.8, advice=advice, practice="X1")


def in_words(begun: FirstLoss, tried: dict[float, Learnt]) -> list[str]:
    """A line on the first loss, and one on the handful."""
    lines = [f"first loss: {begun.loss:.3g}; {begun.alike:.3g} if all classes were answered alike"]
    if own := tried.get(1.0):
        heart = f"by heart in {own.steps} steps" if own.whole else f"to {own.score:.0%} in {own.steps} steps"
        lines.append(f"a handful: {own.images} images learnt {heart} of the run's own")
    return lines


def _learn(config: Config, job: Job, handful: Handful, factor: float) -> Learnt:
    """On a copy of the model, until all are right in a step or outside training, or the steps are taken."""
    state = _copied(config, job, factor)
    recipe = replace(
        job.recipe,
        schedule=build_part(config, "sched", handful.steps),
        begin_epoch=lambda model, _: job.recipe.begin_epoch(model, job.plan.epochs - 1),
        ema=0.0,
        compile=False,
    )
    best, losses = 0.0, list[float]()
    for _ in train_epoch(state, handful, recipe, Interrupt()):
        scores = scores_of(state.sums - state.logged_sums, empty=math.nan)
        state.logged_sums = state.sums.clone()
        losses.append(scores.loss)
        best = max(best, scores.score)
        if state.step % _OFTEN == 0 and best < 1:
            best = max(best, _outside_training(state, handful, job))
        if best >= 1 or alarm(state) is not None:
            break
    return Learnt(len(handful.batch.labels), state.step, best, losses[0], losses[-1])


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
    for _ in train_epoch(state, Handful(batch, 2), replace(job.recipe, compile=False), Interrupt()):
        state.sums.cpu()  # a GPU has done it by then
        times.append(time.perf_counter())
    return times[-1] - times[-2]


def _loss(job: Job, logits: Tensor, labels: Tensor) -> float:
    criterion = job.recipe.criterion
    return float(criterion.losses(logits, labels).sum() / criterion.weights(labels).sum())


def _nats(job: Job, logits: Tensor, labels: Tensor) -> float:
    nats, counted = job.recipe.criterion.task.surprise(logits, labels, job.state.sums.dtype).tolist()
    return float(nats / counted) if counted else 0.0


def _short(learnt: Learnt) -> str:
    return f"{learnt.first_loss:.3g} at first and {learnt.last_loss:.3g} at last"
