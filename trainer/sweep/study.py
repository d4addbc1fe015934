"""The study of a search: what Optuna keeps of its trials, for optuna-dashboard and whoever else reads such studies."""

from collections import Counter
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, get_storage
from optuna.trial import FrozenTrial, TrialState

from trainer.errors import ConfigError, first_line
from trainer.rng import seed_of
from trainer.sweep.options import Search, direction_of

_STARTUP_TRIALS = 10
"""What TPE draws at random, before there is enough to learn from: Optuna's own number."""
_FILE = "study.db"
_SEEDS = 2**32
"""As many as numpy has."""
_OPENED: dict[str, BaseStorage] = {}
"""The last storage, by its URL."""


def open_study(search: Search, folder: Path, monitor: str) -> optuna.Study:
    """The study of the search in this folder, begun where there is none. Raises ConfigError where it cannot be had."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, name = open_storage(search.storage or _in(folder)), search.study_name or folder.name
    study = optuna.create_study(storage=storage, study_name=name, direction=direction_of(monitor), load_if_exists=True)
    if study.direction.name.lower() != direction_of(monitor):
        raise ConfigError(
            f"hydra.sweeper.study_name: the study '{name}' there is not of {monitor}. Choose another name."
        )
    return study


def open_storage(url: str) -> BaseStorage:
    """Where studies are kept, opened once for all runs of a sweep. Raises ConfigError where it cannot be had."""
    if url in _OPENED:
        return _OPENED[url]
    while _OPENED:
        _close(_OPENED.popitem()[1])
    try:
        _OPENED[url] = get_storage(url)
        return _OPENED[url]
    except Exception as error:  # whatever the driver raises: no such server, a wrong password, no package for it
        raise ConfigError(f"hydra.sweeper.storage: it cannot be opened: {first_line(error)}") from error


def _close(storage: BaseStorage) -> None:
    """Lets go of the connections that SQLAlchemy keeps; Optuna has no word for it."""
    storage.remove_session()
    if engine := getattr(getattr(storage, "_backend", storage), "engine", None):
        engine.dispose()


def study_of(folder: Path) -> optuna.Study | None:
    """The study that a search keeps in its folder; None where there is none."""
    if not (folder / _FILE).exists():
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(study_name=None, storage=open_storage(_in(folder)))


def failed_too_often(study: optuna.Study, search: Search) -> bool:
    """Whether a larger share of all its trials has failed than the search puts up with."""
    return len(_ended(study, TrialState.FAIL)) > search.max_failure_rate * (search.n_trials or 0)


def has_best(study: optuna.Study) -> bool:
    """Whether a trial came to its end."""
    return bool(_ended(study, TrialState.COMPLETE))


def _ended(study: optuna.Study, how: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(how,))


def conclusion(study: optuna.Study) -> str:
    """What became of the trials, in one line. Which is the best is told by the table, where ties are broken."""
    ends = Counter(trial.state for trial in study.get_trials(deepcopy=False))
    if not ends[TrialState.COMPLETE]:
        return f"None of {ends.total()} trials came to its end."
    told = {"pruned": ends[TrialState.PRUNED], "failed and passed over": ends[TrialState.FAIL]}
    others = "".join(f", {count} {how}" for how, count in told.items() if count)
    return f"{ends.total()} trials: {ends[TrialState.COMPLETE]} came to their end{others}."


def sampler_of(search: Search, number: int) -> BaseSampler:
    """What draws the values of the trial of this number: by a seed of its own, so that a search draws the same whether
    or not it was stopped on the way. Of a grid there is nothing to draw."""
    sampler = search.sampler
    seed = seed_of(sampler.seed, number, "search") % _SEEDS
    if sampler.name == "tpe":
        return TPESampler(n_startup_trials=sampler.n_startup_trials or _STARTUP_TRIALS, seed=seed)
    return RandomSampler(seed)


def _in(folder: Path) -> str:
    """The URL of the file in the folder, whose path a URL may not end early."""
    return f"sqlite:///{folder.absolute() / _FILE}".replace("%", "%25").replace("?", "%3F")
