"""hydra/sweeper=optuna: Optuna says what is tried next, a launcher runs it, and Optuna is told what came of it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, Trial, TrialState

from trainer.errors import ConfigError
from trainer.settings import SCORES
from trainer.sweep.combinations import Choice, applies, combinations, offered_by
from trainer.sweep.job import Outcome
from trainer.sweep.options import TARGET, searched
from trainer.sweep.space import distribution, value_in
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
        said = self._grammar.parse_overrides(arguments)
        self._said, self._offered = {each.key_or_group: each for each in said}, offered_by(said)
        self._space = {key: distribution(each) for key, each in self._said.items() if each.is_sweep_override()}
        self._study = open_study(self._search, self._folder, self._monitor)
        self._refuse_a_study_of_others()
        if self._search.sampler.name == "grid":
            self._enqueue(combinations(said))
        returned: list[Sequence[JobReturn]] = []
        while coming := self._coming():
            for trials in _consecutive(coming):
                returned.append(self._launched(trials))
                if any(job.return_value.status == "stopped" for job in returned[-1]):
                    return returned
        return returned

    def _refuse_a_study_of_others(self) -> None:
        trials, name = self._study.trials, self._study.study_name
        if trials and self._search.study_name is None and not any(map(self._is_ours, trials)):
            raise ConfigError(
                f"hydra.sweeper.storage: it holds a study '{name}' of another sweep. Choose another name=NAME, or "
                f"share it by hydra.sweeper.study_name={name}."
            )

    def _enqueue(self, grid: list[Choice]) -> None:
        """Leaves the combinations with Optuna, in random order: as many as are not there yet, and wanted."""
        Random(self._search.sampler.seed).shuffle(grid)
        for choice in grid[len(self._study.trials) : self._n_trials]:
            values = {key: value_in(values, choice[key]) for key, values in self._space.items() if key in choice}
            self._study.enqueue_trial(values)

    def _coming(self) -> list[Trial]:
        """The trials to launch next: those that were under way when the search was stopped, or else new ones."""
        trials = self._study.get_trials(deepcopy=False)
        under_way = [each for each in trials if each.state == TrialState.RUNNING and self._is_ours(each)]
        if under_way:
            return [self._drawn(each.number, each) for each in under_way]
        if failed_too_often(self._study, self._search):
            return []
        begun = sum(each.state != TrialState.WAITING for each in trials)
        return [self._drawn(begun + new) for new in range(min(self._n_trials - begun, self._search.n_jobs))]

    def _drawn(self, number: int, begun: FrozenTrial | None = None) -> Trial:
        """A trial with a value for every key that can be said: a new one, or one that was begun."""
        self._study.sampler = sampler_of(self._search, number)
        trial = self._study.ask() if begun is None else Trial(self._study, begun._trial_id)
        trial.set_user_attr(_FOLDER, str(self._folder.absolute()))
        for key in sorted(
            self._space, key=lambda key: "." in key
        ):  # parts before the options that not all of them have
            if applies(key, self._choice(trial), self._offered):
                trial._suggest(key, self._space[key])  # what study.ask does; of a key that has a value, that one
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
        choice = self._choice(trial)
        said = [
            f"{each.get_key_element()}={choice[key]}" if key in self._space else str(each.input_line)
            for key, each in self._said.items()
            if key in choice and applies(key, choice, self._offered)
        ]
        if self._search.seeds == 1:
            yield said
            return
        for seed in range(self._search.seeds):
            yield [*said, f"++seed={self._seed + seed}"]

    def _choice(self, trial: Trial) -> Choice:
        """What is said for each key, as far as it is drawn."""
        drawn = {key: str(value) for key, value in trial.params.items()}
        return {key: values[0] for key, values in self._offered.items() if key not in self._space} | drawn

    def _tell(self, trial: Trial, outcomes: Sequence[Outcome]) -> None:
        """Tells Optuna the mean score of the trial's runs, or that it was pruned or failed; of one stopped, nothing."""
        statuses = {outcome.status for outcome in outcomes}
        if "stopped" in statuses:
            return
        scores = [score for outcome in outcomes if (score := outcome.best.get(self._monitor)) is not None]
        if len(scores) == len(outcomes) and statuses == {"finished"}:
            self._study.tell(trial, fmean(scores))
        else:
            is_pruned = "pruned" in statuses and statuses <= {"finished", "pruned"}
            self._study.tell(trial, state=TrialState.PRUNED if is_pruned else TrialState.FAIL)


def _consecutive(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The trials, in lists without a gap in their numbers."""
    numbered = enumerate(sorted(trials, key=lambda trial: trial.number))
    for _, together in groupby(numbered, key=lambda pair: pair[1].number - pair[0]):
        yield [trial for _, trial in together]
