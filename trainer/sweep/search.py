"""hydra/sweeper=optuna: Optuna says what is tried next, a launcher runs it, and Optuna is told what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, Trial, TrialState

from trainer.settings import SCORES
from trainer.sweep.job import Outcome
from trainer.sweep.options import TARGET, searched
from trainer.sweep.space import distribution
from trainer.sweep.study import failed_too_often, open_study, sampler_of

_FOLDER = "folder"


def be_known_to_hydra() -> None:
    """From here on hydra/sweeper=optuna is ours, without a package in the place where Hydra looks for plugins."""
    Plugins.instance().class_name_to_class[TARGET] = OptunaSweeper


class OptunaSweeper(Sweeper):
    """The loop around a study: ask, launch, tell. A trial is one run, or one of each seed."""

    def __init__(self, **_: Any) -> None:
        """Takes the options as Hydra hands them over, one by one. They are read as a whole below."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `sweep`."""
        self.hydra_context = hydra_context
        self._launch = Plugins.instance().instantiate_launcher(hydra_context, task_function, config).launch
        self._grammar = OverridesParser.create(hydra_context.config_loader)
        search = searched(config.hydra)
        assert search is not None and search.n_trials is not None
        self._search, self._n_trials = search, search.n_trials
        self._folder = Path(config.hydra.sweep.dir)
        self._seed = config.seed
        self._monitor: str = config.monitor or SCORES[config.task.name]

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """What the launcher gave back of the runs that were still to do, lump by lump."""
        self._said = {each.key_or_group: each for each in self._grammar.parse_overrides(arguments)}
        self._space = {key: distribution(each) for key, each in self._said.items() if each.is_sweep_override()}
        self._study = open_study(self._search, self._folder, self._monitor)
        returned: list[Sequence[JobReturn]] = []
        while coming := self._coming():
            for trials in _consecutive(coming):
                returned.append(self._launched(trials))
        return returned

    def _coming(self) -> list[Trial]:
        """The trials to launch next: those that were under way when the search was stopped, or else new ones."""
        trials = self._study.get_trials(deepcopy=False)
        under_way = [each for each in trials if each.state == TrialState.RUNNING and self._is_ours(each)]
        if under_way:
            return [self._drawn(each.number, each) for each in under_way]
        if failed_too_often(self._study, self._search):
            return []
        left = self._n_trials - sum(each.state != TrialState.WAITING for each in trials)
        return [self._drawn(len(trials) + new) for new in range(min(left, self._search.n_jobs))]

    def _drawn(self, number: int, begun: FrozenTrial | None = None) -> Trial:
        """A trial with a value for every key: a new one, or one that was begun."""
        self._study.sampler = sampler_of(self._search, self._space, number)
        trial = self._study.ask() if begun is None else Trial(self._study, begun._trial_id)
        trial.set_user_attr(_FOLDER, str(self._folder.absolute()))
        for key, values in self._space.items():
            trial._suggest(key, values)  # what study.ask does; of a key that has a value, that one
        return trial

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Whether no other machine has begun it, with which the study may be shared unless it lies in the folder."""
        return self._search.storage is None or trial.user_attrs.get(_FOLDER) == str(self._folder.absolute())

    def _launched(self, trials: Sequence[Trial]) -> Sequence[JobReturn]:
        """Runs trials whose numbers follow one another, as those of their jobs must, and tells Optuna their scores."""
        each = self._search.seeds
        words = [words for trial in trials for words in self._words(trial)]
        returned = self._launch(words, initial_job_idx=trials[0].number * each)
        for place, trial in enumerate(trials):
            self._tell(trial, [job.return_value for job in returned[place * each :][:each]])
        return returned

    def _words(self, trial: Trial) -> Iterator[list[str]]:
        """The words of each of its runs."""
        said = [
            f"{each.get_key_element()}={trial.params[key]}" if key in self._space else str(each.input_line)
            for key, each in self._said.items()
        ]
        if self._search.seeds == 1:
            yield said
            return
        for seed in range(self._search.seeds):
            yield [*said, f"++seed={self._seed + seed}"]

    def _tell(self, trial: Trial, outcomes: Sequence[Outcome]) -> None:
        """Tells Optuna the mean score of the trial's runs, or that it was pruned or failed."""
        statuses = {outcome.status for outcome in outcomes}
        scores = [outcome.best[self._monitor] for outcome in outcomes if self._monitor in outcome.best]
        with suppress(RuntimeError):  # at the last of a grid Optuna would stop a loop of its own, and this is ours
            if statuses == {"finished"} and len(scores) == len(outcomes):
                self._study.tell(trial, fmean(scores))
            else:
                only_pruned = statuses <= {"finished", "pruned"} and "pruned" in statuses
                self._study.tell(trial, state=TrialState.PRUNED if only_pruned else TrialState.FAIL)


def _consecutive(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The trials, in lists without a gap in their numbers."""
    numbered = enumerate(sorted(trials, key=lambda trial: trial.number))
    for _, together in groupby(numbered, key=lambda pair: pair[1].number - pair[0]):
        yield [trial for _, trial in together]
