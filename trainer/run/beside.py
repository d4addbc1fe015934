"""What a process does that trains beside the first one: the same steps, with nothing written and nothing said."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import torch

from trainer.build.training import Job, build
from trainer.config import Config
from trainer.engine.evaluate import evaluate
from trainer.engine.interrupt import Interrupt, Interrupted
from trainer.engine.loop import EpochReport, fit, fit_to_save
from trainer.engine.metrics import Evaluation, Scores
from trainer.engine.probe import Probed
from trainer.engine.state import State
from trainer.errors import ConfigError, DivergedError, StoppedError
from trainer.parallel.place import Place
from trainer.parallel.ranks import Ranks
from trainer.parallel.sharded import load_weights
from trainer.run.diverged import may_go_back


class _Mute:
    """An observer that leaves it to the first process to be told, and has its part in what that one writes."""

    def step(self, state: State) -> None: ...
    def probed(self, probed: Probed) -> None: ...
    def logged(self, state: State, scores: Scores, lr: float) -> None: ...
    def epoch(self, report: EpochReport) -> None: ...

    def save(self, state: State, *, is_best: bool) -> None:
        if is_best:
            state.selected()
        state.state_dict()

    def keep(self, state: State, report: EpochReport) -> None:
        state.selected()


def refuse_several(config: Config, place: Place) -> None:
    """Raises ConfigError with what is asked for and one process alone can do."""
    lines = []
    if config.is_probe:
        lines.append("finetune: probe takes no steps that processes could share. Leave torchrun out.")
    if config.settings.budget is not None:
        lines.append("budget: it goes by the time of the steps of one process. Say epochs=N, or leave torchrun out.")
    if lines and not place.is_alone:
        raise ConfigError("\n".join(lines))


def follow(ranks: Ranks) -> int:
    """Trains what the first process tells, from the state that it tells, until it has ended. Returns the exit code 0.

    Every error that all processes meet alike is the first one's to tell.
    """
    told = ranks.from_first(None)
    if told is None:
        return 0
    folder, config = told
    with ranks.watched(folder):
        job = build(config, lambda *_: None, ranks=ranks)
        saved = ranks.from_first(None)
        if saved is None:
            return 0
        if saved:
            job.state.load_state_dict(saved)
        same_state(job)
        with Interrupt(ranks) as interrupt:
            while True:
                try:
                    _attempt(job, interrupt)
                    return 0
                except DivergedError as error:
                    error.is_told = True
                    if not may_go_back(config, job):
                        raise
                    same_state(job)


def _attempt(job: Job, interrupt: Interrupt) -> None:
    """From where the state stands to the end, or to where a signal ends it. Raises what the first process does."""
    try:
        fit(job.state, job.batches, job.val_batches, job.recipe, job.plan, _Mute(), interrupt)
        if fit_to_save(job.state, job.recipe):
            job.state.state_dict()
        tested(job, lambda: None, interrupt)
    except Interrupted as signal:
        if fit_to_save(job.state, job.recipe):
            job.state.state_dict()
        error = StoppedError("", signal.signal_number)
        error.is_told = True
        raise error from None


def same_state(job: Job) -> None:
    """Gives all ranks the state of the first, with the weights of all where each holds a part."""
    ranks, state = job.recipe.ranks, job.state
    if ranks.place.is_alone:
        return
    saved, content = state.state_dict(), BytesIO()
    if ranks.place.is_first:
        torch.save(saved, content)
    told = ranks.from_first(content.getvalue())
    if not ranks.place.is_first:  # from the CPU: as they are they would all take room on the first one's GPU
        state.load_state_dict(torch.load(BytesIO(told), map_location="cpu", weights_only=True))


def tested(job: Job, best: Callable[[], Any], interrupt: Interrupt) -> Evaluation | None:
    """The scores on the test part; None where there is none. best: the weights to test, which the first process has."""
    if job.test_batches is None or job.state.best is None:
        return None
    load_weights(job.state.model, job.recipe.ranks.from_first(best()))
    seen = interrupt.watch(job.test_batches)
    return evaluate(job.state.model, seen, job.recipe.criterion, job.recipe.precision, job.recipe.ranks)
