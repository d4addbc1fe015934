"""What may be said to a search: hydra.sweeper.OPTION beside hydra/sweeper=optuna. conf/hydra/sweeper says what each does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from trainer import schema
from trainer.config import conf_folder
from trainer.errors import ConfigError, did_you_mean
from trainer.schema import Count, Fraction, Whole

TARGET = "hydra_plugins.trainer.OptunaSweeper"
"""What Hydra knows the sweeper by. It takes plugins of this package alone."""
HARMLESS = ("n_trials", "n_jobs", "max_failure_rate")
"""What may be another when a search goes on."""
_GROUP = "hydra/sweeper"
_KEY = "hydra.sweeper"
_TRIALS = 20

Options = TypeVar("Options", "Sampler", "Search")


@dataclass(frozen=True)
class Sampler:
    """What chooses the values of a trial."""

    name: Literal["tpe", "random", "grid"] = "tpe"
    seed: Whole = 0
    n_startup_trials: Count = 10


@dataclass(frozen=True)
class Search:
    """The options of a search, by the names that Hydra's own plugin for Optuna gives them; seeds and pruner are ours."""

    sampler: Sampler = field(default_factory=Sampler)
    n_trials: Count | None = None
    n_jobs: Count = 1
    seeds: Count = 1
    pruner: Literal["median", "none"] = "median"
    direction: Literal["maximize", "minimize"] | None = None
    storage: str | None = None
    study_name: str | None = None
    max_failure_rate: Fraction = 1.0
    params: dict[str, str | float | bool] = field(default_factory=dict)

    def trials(self, combinations: int) -> int:
        """How many trials it takes, where the values said make so many combinations."""
        if self.sampler.name == "grid":
            return min(self.n_trials or combinations, combinations)
        return self.n_trials or _TRIALS


def searched(hydra: Any) -> Search | None:
    """The search that Hydra's settings ask for, its options checked; None where they ask for another sweeper.

    Raises ConfigError with all that is wrong, one error a line.
    """
    node = OmegaConf.to_container(hydra.sweeper, resolve=True)
    assert isinstance(node, dict)
    if node.get("_target_") != TARGET:
        return None
    errors: list[str] = []
    said = {key: value for key, value in node.items() if key != "_target_"}
    named = said.pop("sampler", {})
    sampler = _read(Sampler, {"name": named} if isinstance(named, str) else named, f"{_KEY}.sampler", errors)
    search = _read(Search, said, _KEY, errors)
    if errors or sampler is None or search is None:
        raise ConfigError("\n".join(errors))
    return replace(search, sampler=sampler)


def _read(kind: type[Options], said: Mapping[str, Any], where: str, errors: list[str]) -> Options | None:
    """The options of this kind, or None where one is wrong."""
    hints, names = get_type_hints(kind, include_extras=True), [each.name for each in fields(kind)]
    values, before = dict[str, Any](), len(errors)
    for key, value in said.items():
        if key not in names:
            errors.append(f"{where}.{key}: there is no such option.{did_you_mean(key, names)} There is {', '.join(names)}.")
            continue
        try:
            values[key] = schema.conform(value, hints[key])
        except ValueError as error:
            errors.append(f"{where}.{key}: {error}.{did_you_mean(str(value), schema.choices(hints[key]))}")
    return kind(**values) if len(errors) == before else None


def offer() -> None:
    """Lets Hydra find the sweeper and its samplers by name, where conf is not among the folders that it searches."""
    store, folder = ConfigStore.instance(), conf_folder()
    for path in sorted((folder / _GROUP).rglob("*.yaml")):
        group = path.parent.relative_to(folder).as_posix()
        store.store(group=group, name=path.stem, node=OmegaConf.load(path), package=group.replace("/", "."))
