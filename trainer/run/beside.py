"""What a process does that trains beside the first one: the same steps, with nothing written and nothing said."""

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
from trainer.run.diverged import may_go_back


class _Mute:
    """An observer that leaves it to the first process to be told."""

    def step(self, state: State) -> None: ...
    def probed(self, probed: Probed) -> None: ...
    def logged(self, state: State, scores: Scores, lr: float) -> None: ...
    def epoch(self, report: EpochReport) -> None: ...
    def save(self, state: State, *, is_best: bool) -> None: ...
    def keep(self, state: State, report: EpochReport) -> None: ...


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
        state = ranks.from_first(None)
        if state is None:
            return 0
        job.state.load_state_dict(state)
        with Interrupt(ranks) as interrupt:
            while True:
                try:
                    fit(job.state, job.batches, job.val_batches, job.recipe, job.plan, _Mute(), interrupt)
                    fit_to_save(job.state, job.recipe)
                    tested(job, interrupt)
                    return 0
                except Interrupted as signal:
                    error = StoppedError("", signal.signal_number)
                    error.is_told = True
                    raise error from None
                except DivergedError as error:
                    error.is_told = True
                    if not may_go_back(config, job):
                        raise
                    job.state.load_state_dict(ranks.from_first(None))


def tested(job: Job, interrupt: Interrupt) -> Evaluation | None:
    """The scores on the test part with the weights that the first process has; None where there is no such part."""
    if job.test_batches is None or job.state.best is None:
        return None
    job.recipe.ranks.same(job.state.model)
    seen = interrupt.watch(job.test_batches)
    return evaluate(job.state.model, seen, job.recipe.criterion, job.recipe.precision, job.recipe.ranks)
