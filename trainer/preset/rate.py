"""The rate that suits a run, searched for before its first step, on a copy of the run that is thrown away."""

import math

from trainer.build.training import Job, build
from trainer.engine.interrupt import Interrupt
from trainer.engine.probe import probe
from trainer.engine.rate_search import Search, Trial, most_steps, search
from trainer.engine.short_training import Rehearsal
from trainer.feed.pack import Progress
from trainer.preset.draft import RATE, Draft


def choose_rate(draft: Draft, progress: Progress) -> None:
    """Chooses the rate that a search finds. Where none learns, it stays as it is."""
    found = search_of(build(draft.config, progress), progress, patient=draft.config.settings.budget is None)
    draft.choose(RATE, found.best.rate if found.learns else draft.value(RATE), reason(found))


def search_of(job: Job, progress: Progress, *, patient: bool = True) -> Search:
    """Uses up the job. What is found is a function of its config, and of no clock.

    patient: whether more is tried where most_steps are not enough to learn anything.
    """
    if job.recipe.probe is not None:
        probe(job.state, job.recipe.probe, job.recipe.criterion, Interrupt())
    rehearsal = Rehearsal.of(job.state, job.batches, job.val_batches.few, job.recipe, job.plan.epochs)
    most, taken = most_steps(rehearsal.total_steps), 0

    def attempt(rate: float, steps: int) -> Trial:
        nonlocal taken
        taken += steps
        reached = rehearsal.reached(rate, steps, Interrupt())
        progress("rates", taken, max(taken, most))
        return Trial(rate, steps, *((math.inf, 0.0) if reached is None else (reached.loss, reached.score)))

    untrained = attempt(rehearsal.base_rate, 0)
    found = search(rehearsal.base_rate, rehearsal.total_steps, untrained.loss, attempt, patient=patient)
    progress("rates", max(taken, most), max(taken, most))
    return found


def reason(found: Search) -> str:
    """A sentence."""
    rates = [trial.rate for trial in found.trials]
    tried = f"{len(set(rates))} rates from {min(rates):.2g} to {max(rates):.2g}"
    cost = f"{found.steps} steps, {found.steps / found.total_steps:.0%} of the run's"
    if not found.learns:
        return f"none of {tried} learns within {found.lengths[-1]} steps, so it stays where nothing is said ({cost})."
    trainings = f"trainings of {found.lengths[-1]} steps"
    if found.best == found.lowest:
        return f"of {tried} it reaches the lowest validation loss, {found.best.loss:.4g}, in {trainings} ({cost})."
    return (
        f"of {tried} it is the lowest that comes near the best validation loss ({found.best.loss:.4g} to "
        f"{found.lowest.loss:.4g}) in {trainings} ({cost})."
    )
