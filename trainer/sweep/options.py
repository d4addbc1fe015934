"""What may be said to a search: the options of hydra/sweeper=optuna. docs/sweeps.md says in words what each does."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from trainer import schema
from trainer.errors import ConfigError, did_you_mean, first_line
from trainer.schema import Count, Fraction, Whole

TARGET = "hydra_plugins.trainer.OptunaSweeper"
"""What Hydra knows the sweeper by. It takes plugins of this package alone."""
HARMLESS = ("hydra.sweeper.n_trials", "hydra.sweeper.n_jobs", "hydra.sweeper.max_failure_rate")
"""What may be another when a search goes on."""
_KEY = "hydra.sweeper"
_TRIALS = 20
_SEARCHED = re.compile(r"\+{0,2}(?!hydra|data\.root$)[a-z]\w*(\.\w+)*", re.ASCII)
"""A key of params. It becomes a word: what could run a command, and a config may not say, must not pass for typed."""

Options = TypeVar("Options", "Sampler", "Search")


@dataclass(frozen=True)
class Sampler:
    """What chooses the values of a trial."""

    name: Literal["tpe", "random", "grid"] = "tpe"
    seed: Whole = 0
    n_startup_trials: Count | None = None


@dataclass(frozen=True)
class Search:
    """The options of a search. But for seeds and pruner, they are those of Hydra's own plugin for Optuna."""

    sampler: Sampler = field(default_factory=Sampler)
    n_trials: Count | None = None
    n_jobs: Count = 1
    seeds: Count = 1
    pruner: Literal["median", "none"] = "median"
    direction: Literal["maximize", "minimize"] | None = None
    storage: str | None = None
    study_name: str | None = None
    max_failure_rate: Fraction = 1.0
    params: dict[str, str | float | bool] | None = None

    @property
    def words(self) -> list[str]:
        """What params says, as one would say it on the command line."""
        return [f"{key}={value}" for key, value in (self.params or {}).items()]

    @property
    def runs(self) -> int:
        """How many runs all its trials have."""
        return (self.n_trials or _TRIALS) * self.seeds

    def trials(self, combinations: Callable[[], int]) -> int:
        """How many trials it takes. combinations: counts those that the values make, which only a grid has to."""
        if self.sampler.name == "grid":
            count = combinations()
            return min(self.n_trials or count, count)
        return self.n_trials or _TRIALS


def searched(hydra: Any) -> Search | None:
    """The search that Hydra's settings ask for, its options checked; None where they ask for another sweeper.

    Raises ConfigError with all that is wrong, one error a line.
    """
    node: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
    if node.get("_target_") != TARGET:
        if node.get("params"):  # Hydra's own sweeper would add them to the words of its jobs, unseen by any check
            raise ConfigError(f"{_KEY}.params: it is for hydra/sweeper=optuna. Say the values on the command line.")
        return None
    if find_spec("optuna") is None:
        raise ConfigError(
            "hydra/sweeper=optuna: the package optuna is not installed. Install it: pip install 'trainer[sweep]'. "
            "Lists of values need no extra: leave the sweeper out."
        )
    errors: list[str] = []
    said = {key: value for key, value in node.items() if key != "_target_"}
    named = said.pop("sampler", {})
    sampler = _read(Sampler, named if isinstance(named, dict) else {"name": named}, f"{_KEY}.sampler", errors)
    search = _read(Search, said, _KEY, errors)
    errors += [
        f"{_KEY}.params: '{key}' is nothing to search. It takes settings and options of parts, such as optim.lr."
        for key in (search.params if search else None) or ()
        if not _SEARCHED.fullmatch(key)
    ]
    if errors or sampler is None or search is None:
        raise ConfigError("\n".join(errors))
    return replace(search, sampler=sampler)


def _read(kind: type[Options], said: Mapping[str, Any], where: str, errors: list[str]) -> Options | None:
    """The options of this kind, or None where one is wrong."""
    hints, names = get_type_hints(kind, include_extras=True), [each.name for each in fields(kind)]
    values, before = dict[str, Any](), len(errors)
    for key, value in said.items():
        if key not in names:
            errors.append(
                f"{where}.{key}: there is no such option.{did_you_mean(key, names)} There is {', '.join(names)}."
            )
            continue
        try:
            values[key] = schema.conform(value, hints[key])
        except ValueError as error:
            errors.append(f"{where}.{key}: {error}.{did_you_mean(str(value), schema.choices(hints[key]))}")
    return kind(**values) if len(errors) == before else None


def _offer() -> None:
    """Lets Hydra find the sweeper and its samplers by name, whatever folder it reads configs from."""
    options = {key: value for key, value in asdict(Search()).items() if key != "sampler"}
    store = ConfigStore.instance().store
    store("optuna", {"defaults": [{"sampler": "tpe"}, "_self_"], "_target_": TARGET, **options}, "hydra/sweeper")
    for name in schema.choices(get_type_hints(Sampler)["name"]):
        store(name, {**asdict(Sampler()), "name": name}, "hydra/sweeper/sampler")


def direction_of(monitor: str) -> Literal["maximize", "minimize"]:
    """What makes a score better."""
    return "minimize" if monitor == "val_loss" else "maximize"


def contradictions(search: Search, keys: Collection[str], monitor: str) -> list[str]:
    """What of the options goes against the rest. keys: those that are searched."""
    lines = []
    if not keys:
        lines.append(
            "hydra/sweeper=optuna: there is nothing to search. Give a key several values: "
            "optim.lr=tag(log,interval(1e-4,1e-1)) aug=none,light"
        )
    lines += [
        f"{key}: trials are told apart by one score. Give {key} one value."
        for key in ("monitor", "task")
        if key in keys
    ]
    if search.seeds > 1 and "seed" in keys:
        lines.append(f"hydra.sweeper.seeds={search.seeds}: each trial has its own seeds. Give seed one value.")
    if search.sampler.name != "tpe" and search.sampler.n_startup_trials is not None:
        lines.append(f"{_KEY}.sampler.n_startup_trials: it is for tpe. Leave it out, or say hydra/sweeper/sampler=tpe.")
    if search.direction not in (None, direction_of(monitor)):
        lines.append(f"hydra.sweeper.direction={search.direction}: it would seek the poorest {monitor}. Leave it out.")
    return lines


def wants_whole_numbers(error: str, overrides: Sequence[Override]) -> str:
    """A sentence that says how, where the error is of an interval whose ends should have been whole numbers."""
    for each in overrides:
        if each.is_interval_sweep() and error.startswith(f"{each.key_or_group}: ") and "whole number" in error:
            return f" Whole numbers are drawn by {each.key_or_group}=int({each.get_value_string()})."
    return ""


def unsearchable(override: Override, search: Search) -> str:
    """Why the search cannot draw from the values of the word, in a sentence; nothing where it can."""
    from trainer.sweep.space import distribution

    if search.sampler.name == "grid" and override.is_interval_sweep():
        return "a grid tries every value, and an interval has no end of them. Give a list or a range."
    try:
        distribution(override)
    except ValueError as error:  # also Optuna's own, of an interval that ends before it begins
        return first_line(error)
    return ""


_offer()
