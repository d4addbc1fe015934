"""The training loop. It knows tensors and callables, no config, and tells what happens to one observer."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from trainer.engine.average import follow, pairs_of
from trainer.engine.batch import Batch, Batches, steps_per_epoch
from trainer.engine.device import ahead
from trainer.engine.evaluate import evaluate
from trainer.engine.health import Undo, alarm, is_far_off, is_left_out, note
from trainer.engine.interrupt import Interrupt
from trainer.engine.metrics import Evaluation, Scores, scores_of
from trainer.engine.precision import Precision
from trainer.engine.probe import Probe, Probed, probe
from trainer.engine.state import State
from trainer.engine.vitals import Vitals
from trainer.engine.watching import Activations, Watch, vitals_of
from trainer.errors import DivergedError
from trainer.finetune.freezing import BeginEpoch, learn_all
from trainer.loss.criterion import Criterion, reduce
from trainer.parallel.ranks import ALONE, Ranks
from trainer.parallel.sharded import part
from trainer.rng import seed_of
from trainer.sched.schedule import Plateau, Schedule
from trainer.system import fault


@dataclass(frozen=True)
class Recipe:
    """How the steps are taken."""

    criterion: Criterion
    schedule: Schedule
    precision: Precision
    begin_epoch: BeginEpoch = learn_all
    probe: Probe | None = None
    """What fits the head before the first step, or, if it is alone, in the place of the only one."""
    seed: int = 0
    clip_norm: float | None = None
    ema: float = 0.0
    compile: bool | str = False
    """Whether the model is compiled for its steps; a word: in this mode of torch's."""
    ranks: Ranks = ALONE
    """The processes that take the steps together."""


@dataclass(frozen=True)
class Plan:
    """When to stop, what is best, how often to tell and to save (in steps; 0 = only at the end of an epoch), and how
    often to keep the weights for good (in epochs; 0 = never)."""

    epochs: int
    by_loss: bool = False
    """Whether the best epoch is the one of the least val_loss, and not that of the highest score."""
    early_stop: int | None = None
    log_every: int = 50
    save_every: int = 0
    keep_every: int = 0
    rising_epochs: int = 0
    """Up to the last one in which the rate rises. early_stop counts those after them."""
    look_every: int = 0
    """Of how many validation images one's activations are looked at; 0: of none, and of no gradients either."""


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to. images were trained on in train_seconds: on the part since a resume, if there was one."""

    epoch: int
    step: int
    lr: float
    train: Scores
    val: Evaluation
    is_best: bool
    images: int
    train_seconds: float
    val_seconds: float
    vitals: Vitals


class Observer(Protocol):
    """Who is told. `step` is called after every step and must not read the device; the others may."""

    def step(self, state: State) -> None: ...
    def probed(self, probed: Probed) -> None: ...
    def logged(self, state: State, scores: Scores, lr: float) -> None: ...
    def epoch(self, report: EpochReport) -> None: ...
    def save(self, state: State, *, is_best: bool) -> None: ...
    def keep(self, state: State, report: EpochReport) -> None: ...


def fit(
    state: State,
    batches: Batches,
    val_batches: Iterable[Batch],
    recipe: Recipe,
    plan: Plan,
    observer: Observer,
    interrupt: Interrupt,
) -> None:
    """Trains from where state stands to the end of the plan.

    Raises DivergedError before anything of a run that diverged is saved: if a loss or gradient is not finite (where a
    scaler leaves such steps out, 20 in a row), or the loss stays far above where it began. Raises Interrupted, with
    the state whole, if a signal came.
    """
    while not finished(state, plan):
        begun, images = time.perf_counter(), 0
        watch = Watch(state.epoch, steps_per_epoch(batches), plan.log_every, looks=plan.look_every > 0)
        for images_in_step in _steps(state, batches, recipe, observer, interrupt, watch):
            images += images_in_step
            fault.reach("step", state.step)
            observer.step(state)
            if watch.tells(state.step):
                _log(state, recipe, observer)
            if plan.save_every and state.step % plan.save_every == 0 and fit_to_save(state, recipe):
                observer.save(state, is_best=False)
        may_come_back = fit_to_save(state, recipe)
        trained = time.perf_counter()
        fault.reach("validation", state.epoch + 1)
        train = _scores(state, state.sums)
        with Activations(state.selected_model, plan.look_every) as activations:
            seen = interrupt.watch(val_batches)
            val = evaluate(state.selected_model, seen, recipe.criterion, recipe.precision, recipe.ranks)
        if not math.isfinite(val.loss + val.objective):
            raise _diverged(f"The validation loss is not a finite number after step {state.step}.", state, recipe)
        is_best, is_better = _end_epoch(state, val, plan)
        if isinstance(recipe.schedule, Plateau):
            shrunk = recipe.schedule.after(state.plateau_share, state.plateau_epochs, is_better)
            state.plateau_share, state.plateau_epochs = shrunk
        seconds = (trained - begun, time.perf_counter() - trained)
        vitals = vitals_of(state, activations.read(), val, recipe.criterion, watch.share(seconds[0]))
        report = EpochReport(state.epoch, state.step, state.lr, train, val, is_best, images, *seconds, vitals)
        observer.epoch(report)
        if may_come_back:
            if plan.keep_every and state.epoch % plan.keep_every == 0:
                observer.keep(state, report)
            observer.save(state, is_best=is_best)


def finished(state: State, plan: Plan) -> bool:
    """Whether nothing is left to do: all epochs are done, or progress has stopped for as long as early_stop allows."""
    stalled = plan.early_stop is not None and stale_epochs(state, plan) >= plan.early_stop
    return stalled or state.epoch >= plan.epochs


def stale_epochs(state: State, plan: Plan) -> int:
    """Epochs without progress, as early_stop counts them: a rate that is yet to rise is no reason to end a run."""
    return min(state.stale_epochs, max(0, state.epoch - plan.rising_epochs))


def fit_to_save(state: State, recipe: Recipe) -> bool:
    """Whether a run may come back to this state: not while its loss is far off.

    Raises DivergedError if the last steps were not sound. Reads the device.
    """
    _check(state, recipe)
    finite = torch.stack([part(parameter).isfinite().all() for parameter in state.model.parameters()]).all()
    if not recipe.ranks.all_of(finite):  # the last update before a save has no later loss that would tell what it did
        raise _diverged(f"The weights are not finite numbers after step {state.step}.", state, recipe)
    return not is_far_off(state)


def _steps(
    state: State, batches: Batches, recipe: Recipe, observer: Observer, interrupt: Interrupt, watch: Watch
) -> Iterator[int]:
    """As train_epoch, after the fit of the head where that has not been; a fit that is alone counts as the step."""
    if recipe.probe is not None and not state.step:
        if recipe.ranks.place.is_first:
            probed = probe(state, recipe.probe, recipe.criterion, interrupt.of_one)
            observer.probed(probed)
        recipe.ranks.same(state.model, state.averaged)
        if recipe.probe.alone:
            state.sums, state.step = probed.sums, 1
            yield len(recipe.probe.labels)
    if recipe.probe is None or not recipe.probe.alone:
        yield from train_epoch(state, batches, recipe, interrupt, watch)
    recipe.ranks.same(state.model, state.averaged)  # each had running figures of its own in batch norm


def train_epoch(
    state: State, batches: Batches, recipe: Recipe, interrupt: Interrupt, watch: Watch | None = None
) -> Iterator[int]:
    """Takes the steps that are left of the epoch under way, and yields the number of images after each."""
    watch = watch or Watch()
    ranks, mode = recipe.ranks, recipe.compile if isinstance(recipe.compile, str) else None
    recipe.begin_epoch(state.model, state.epoch)
    learner = ranks.learner(state.model)
    forward = torch.compile(learner, mode=mode) if recipe.compile else learner
    parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    leaves_out = state.scaler.is_enabled()  # a step that is not finite changes nothing but its number, then
    undo = Undo(list(state.model.buffers()) if leaves_out else [])
    pairs = None if state.averaged is None else pairs_of(state.averaged, state.model)
    for group in interrupt.watch(watch.waiting(_groups(state, batches))):
        torch.manual_seed(seed_of(recipe.seed, state.step, "layers", *ranks.own_keys))  # dropout and the like
        _set_lr(state, recipe.schedule(state.step) * state.rate_share)
        targets = [recipe.criterion.soft(batch.targets) for batch in group]
        weights = [recipe.criterion.weights(each).sum() for each in targets]
        weight, shares, sums = ranks.mean(_total(weights)), list[Tensor](), list[Sequence[Tensor]]()
        undo.keep()
        for batch, wanted, of_batch in zip(group, targets, weights, strict=True):
            ranks.sum_after(learner, batch is group[-1])
            with recipe.precision.autocast():
                logits = forward(batch.images)
            loss = recipe.criterion.losses(logits, wanted).sum()
            share = reduce(loss, weight)
            torch.autograd.backward(state.scaler.scale(share))
            shares.append(share.detach())
            sums.append((loss.detach(), of_batch, *recipe.criterion.task.tally(logits.detach(), batch.labels)))
        whole = _wants_norm(state, recipe) or watch.looks_at(state.step + 1)
        loss, sums = ranks.totals(_total(shares), sums)
        finite, norm = note(state, loss, parameters, sums, whole=whole)
        state.scaler.unscale_(state.optimizer)
        if recipe.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, recipe.clip_norm, norm)
        with watch.update(state, norm):
            state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if finite is not None:
            undo.unless(finite)
        if pairs is not None:
            follow(pairs, recipe.ema, state.step, finite)
        state.step += 1
        yield sum(len(batch.indices) for batch in group)


def _groups(state: State, batches: Batches) -> Iterator[Sequence[Batch]]:
    """The batches of each step that is left of the epoch under way."""
    done = state.step - state.epoch * steps_per_epoch(batches)
    coming = ahead(batches.epoch(state.epoch, start=sum(batches.per_step[:done])), state.device, beside=batches.beside)
    for count in batches.per_step[done:]:
        yield list(islice(coming, count))


def _total(tensors: Sequence[Tensor]) -> Tensor:
    """Their sum; of one, itself."""
    return sum(tensors[1:], start=tensors[0])


def _set_lr(state: State, factor: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    state.lr = max(group["lr"] for group in state.optimizer.param_groups)


def _scores(state: State, sums: Tensor) -> Scores:
    """The scores of the steps, up to the last, that came to these sums: no numbers if they were left out."""
    return scores_of(sums, empty=math.nan if is_left_out(state) else 0.0)


def _log(state: State, recipe: Recipe, observer: Observer) -> None:
    _check(state, recipe)
    scores = _scores(state, state.sums - state.logged_sums)
    state.logged_sums = state.sums.clone()
    observer.logged(state, scores, state.lr)


def _check(state: State, recipe: Recipe) -> None:
    """Raises DivergedError if the last steps were not sound."""
    found = alarm(state)
    if found is not None:
        lr = _base_lr(state) * recipe.schedule(found.step - 1) * state.plateau_share
        norm = f"gradient norm {found.norm:.3g}, " if _wants_norm(state, recipe) else ""
        figures = f"loss {found.loss:.4g}, {norm}learning rate {lr:.3g}"
        raise _diverged(f"{found.what} from step {found.step} on ({figures}).", state, recipe, found.step)


def _wants_norm(state: State, recipe: Recipe) -> bool:
    """Whether the norm of all gradients is wanted: to clip them, or to leave out a step whose gradient is not finite.

    Else it would be worked out for nothing: 1 % of a step of 11 M weights on 32 images of 64 pixels.
    """
    return recipe.clip_norm is not None or state.scaler.is_enabled()


def _diverged(what: str, state: State, recipe: Recipe, step: int | None = None) -> DivergedError:
    """step: the one whose images are in question."""
    ways = [f"optim.lr={_base_lr(state) / 10:.3g} at most (a tenth of the rate)", "a warm-up (sched=warmup_cosine)"]
    ways += ["clip_norm=1"] if recipe.clip_norm is None else []
    ways += ["precision=fp32"] if recipe.precision.name != "fp32" else []
    return DivergedError(what, f"Try {', '.join(ways[:-1])} or {ways[-1]}.", step)


def _base_lr(state: State) -> float:
    """The rate that the schedule's factor multiplies, in the last stage: optim.lr, halved by each rollback."""
    return float(max(group["initial_lr"] for group in state.optimizer.param_groups)) * 0.5**state.rollbacks


def _end_epoch(state: State, val: Evaluation, plan: Plan) -> tuple[bool, bool]:
    """Counts the epoch, and tells whether it is the best so far, and whether it is better than the best before.

    Where the monitored score is the same the other one decides, and where both are the later epoch is the best, though
    no better. A loss far above the start never gives a best.
    """
    state.epoch += 1
    state.sums, state.logged_sums = torch.zeros_like(state.sums), torch.zeros_like(state.sums)
    scores = (-val.loss, val.score) if plan.by_loss else (val.score, -val.loss)
    is_best = not is_far_off(state) and (state.best is None or scores >= state.best)
    is_better = is_best and scores != state.best
    if is_best:
        state.best, state.best_epoch, state.best_step = scores, state.epoch, state.step
    state.stale_epochs = 0 if is_better else state.stale_epochs + 1
    return is_best, is_better
