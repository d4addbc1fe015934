"""From the words on the command line to a checked config. Hydra composes; we check, and say all that is wrong at once.

Values are first forced into the config (`optim.lrr=1` becomes `++optim.lrr=1`), so that composing cannot fail on a
misspelt key: the check against the parts' signatures then finds it, together with every other mistake.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from trainer.cli.named_code import code_named_in
from trainer.cli.words import quoted, shown
from trainer.config import GROUPS, Config, check
from trainer.errors import ConfigError, did_you_mean, first_line
from trainer.settings import Settings
from trainer.stored import renewed
from trainer.sweep.combinations import Choice, combinations, covering, values_of
from trainer.sweep.launcher import unavailable, unknown_option
from trainer.sweep.options import Search, contradictions, unsearchable, wants_whole_numbers

_OURS_TO_SET = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
_LAUNCHER = "hydra/launcher"
_OF_MANY = re.compile(r"hydra[/.](sweeper|launcher)\b")
_ALONE = threading.Lock()


@dataclass(frozen=True)
class Origin:
    """Where the YAML files are: the folder and name of the primary config, and folders to search besides."""

    folder: Path
    name: str = "config"
    besides: tuple[Path, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether the primary config is one that a run stored: whole, and without groups to choose from."""
        path = self.folder / f"{self.name}.yaml"
        return path.exists() and not re.search(r"^defaults:", path.read_text(encoding="utf-8"), re.MULTILINE)


def compose(words: Sequence[str], origin: Origin, *, multirun: bool = False, search: Search | None = None) -> Config:
    """The checked config that the words say; with multirun, that of the first job, after all jobs' values were checked.

    search: what draws the values of the jobs, from intervals too, whose ends are checked. Raises ConfigError with
    everything that is wrong, one error a line.
    """
    errors: list[str] = []
    overrides = [parsed for word in words for parsed in overrides_in(word, multirun, errors, search)]
    with hydra_at(origin) as loader:
        overrides = valid(overrides, loader, origin, errors)
        by_key = {each.key_or_group: each for each in overrides}
        config, *_ = [_check(_words(choice, by_key), origin, errors) for choice in covering(overrides)]
    errors = [error + wants_whole_numbers(error, overrides) for error in errors]
    if search is not None and config is not None:
        keys = {each.key_or_group for each in overrides if each.is_sweep_override()}
        errors += contradictions(search, keys, config.monitor) if keys or not errors else []
    if errors or config is None:
        raise ConfigError("\n".join(dict.fromkeys(errors)))
    return config


def compose_each(words: Sequence[str], origin: Origin, rooms: Sequence[str]) -> dict[str, Config]:
    """One checked config for each combination of comma-separated values, by the words in which it differs.

    Only the parts and options of these rooms may take several values. An option is said to those of several parts that
    have it: of init=zeros,normal init.std=0.01,0.1 come three. Raises ConfigError with everything that is wrong.
    """
    errors: list[str] = []
    overrides = [parsed for word in words for parsed in overrides_in(word, True, errors)]
    found: dict[str, Config | None] = {}
    with hydra_at(origin) as loader:
        overrides = valid(overrides, loader, origin, errors)
        for each in overrides:
            if each.is_sweep_override() and each.key_or_group.split(".")[0] not in rooms:
                comparable = " or ".join(f"{room} and its options" for room in rooms)
                errors.append(f"{each.input_line}: several values are compared for {comparable} only. Give one.")
        by_key = {each.key_or_group: each for each in overrides}
        for choice in combinations(overrides) if not errors else ():
            several = [(by_key[key], value) for key, value in choice.items() if by_key[key].is_sweep_override()]
            label = " ".join(_label(each, value) for each, value in several)
            if label not in found:
                found[label] = _check(_words(choice, by_key), origin, errors)
    configs = {label: config for label, config in found.items() if config}
    if errors:
        raise ConfigError("\n".join(dict.fromkeys(errors)))
    return {label or config.parts[rooms[0]].name: config for label, config in configs.items()}


def _words(choice: Choice, by_key: Mapping[str, Override]) -> list[str]:
    """The words that say a combination of values."""
    return [forced(by_key[key], value) for key, value in choice.items()]


def _label(override: Override, value: str) -> str:
    """'lsuv' for a part, 'std=0.01' for an option."""
    _, _, option = override.key_or_group.rpartition(".")
    return _text_of(value) if override.key_or_group in GROUPS else shown(f"{option}={value}")


def number_of_jobs(words: Sequence[str]) -> int:
    """How many runs a multirun of these words has: one for each combination of the values said."""
    parse = OverridesParser.create().parse_override
    return len(combinations([parse(word) for word in words]))


def value_of(key: str, words: Sequence[str]) -> str | None:
    """What the words say last for a key or group; None where they say nothing, or null."""
    said = [word for word in words if word.partition("=")[0].lstrip("+") == key]
    value = OverridesParser.create().parse_override(said[-1]).value() if said else None
    return None if value is None else str(value)


def check_choices(words: Sequence[str], origin: Origin) -> None:
    """Raises ConfigError with every part that is chosen and is not there, whatever else may be missing."""
    errors: list[str] = []
    overrides = [parsed for word in words for parsed in overrides_in(word, True, errors)]
    with hydra_at(origin) as loader:
        valid(overrides, loader, origin, errors)
    if errors:
        raise ConfigError("\n".join(errors))


def checked(composed: DictConfig, words: Sequence[str], origin: Origin) -> Config:
    """The config that was composed of the words. Raises ConfigError with all that is wrong."""
    said = frozenset(word.partition("=")[0].lstrip("+~") for word in words)
    data = _plain(composed)
    return replace(check(renewed(data, said) if origin.is_stored else data), said=said)


def _plain(composed: DictConfig) -> dict[str, Any]:
    """The composed config as plain data, interpolations resolved. Raises ConfigError if one leads nowhere."""
    try:
        data = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(first_line(error)) from error
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items() if key != "hydra"}


@contextmanager
def hydra_at(origin: Origin) -> Iterator[ConfigLoader]:
    with _ALONE:  # Hydra has one state a process, of which a notebook may have made use of its own
        hydra = GlobalHydra.instance()
        before = hydra.hydra
        hydra.clear()
        try:
            with initialize_config_dir(str(origin.folder.absolute()), version_base="1.3", job_name="trainer"):
                yield GlobalHydra.instance().config_loader()
        finally:
            GlobalHydra.instance().hydra = before


def _check(words: Sequence[str], origin: Origin, errors: list[str]) -> Config | None:
    try:
        words = [*words, *besides(origin)]
        composed = hydra_compose(origin.name, words, return_hydra_config=True)
        with open_dict(composed):
            errors += code_named_in(composed.pop("hydra"), words)
        return checked(composed, words, origin)
    except ConfigError as error:
        errors += str(error).splitlines()
    except yaml.YAMLError as error:
        errors.append(f"a YAML file cannot be read: {' '.join(str(error).split())}")
    except (HydraException, OmegaConfBaseException, UnicodeDecodeError) as error:
        errors.append(first_line(error))
    return None


def besides(origin: Origin) -> list[str]:
    """The word by which Hydra searches the other folders too, where there are any."""
    search = ",".join(quoted(str(each.absolute())) for each in origin.besides)
    return [f"hydra.searchpath=[{search}]"] if search else []


def overrides_in(word: str, multirun: bool, errors: list[str], search: Search | None = None) -> list[Override]:
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        hint = f" Did you mean '{word}=VALUE'?" if word in Settings.__dataclass_fields__ else ""
        errors.append(f"{word}: cannot be read.{hint} Write key=value, a list [a,b], a mapping {{a:1,b:2}}.")
        return []
    if override.key_or_group in _OURS_TO_SET:
        errors.append(f"{override.key_or_group}: the run folder is chosen with output=FOLDER and name=NAME.")
        return []
    if not multirun and _OF_MANY.match(override.key_or_group):
        errors.append("hydra/sweeper and hydra/launcher: they are of several runs, which wants -m.")
        return []
    if override.is_sweep_override() and not multirun:
        key, values = override.key_or_group, override.get_value_string()
        is_option = "." in key and override.value_type is ValueType.SIMPLE_CHOICE_SWEEP
        listed = f"{key}=[{values}]" if is_option else "[a,b]"
        in_quotes = f'"{key}={quoted(values)}"'
        errors.append(
            f"{word}: several values make several runs, which wants -m. A list is written {listed}; for a comma in "
            f"one value say {in_quotes}."
        )
        return []
    if override.is_sweep_override() and override.key_or_group.startswith("hydra."):
        in_quotes = f'"{override.key_or_group}={quoted(override.get_value_string())}"'
        errors.append(f"{word}: it is of the whole multirun. Give one value; for a comma in it say {in_quotes}.")
        return []
    if override.is_sweep_override() and (wrong := _not_listed(override, search)):
        errors.append(f"{word}: {wrong}")
        return []
    return [override]


def _not_listed(override: Override, search: Search | None) -> str:
    """What is wrong with values that make no list, or another one each time; nothing if nothing is."""
    key = override.key_or_group
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return (
            f"a search looks names up: add hydra/sweeper=optuna. Or name the values one by one: {key}=A,B,C."
            if search is None
            else f"there is no {key} of such a name."
        )
    if not override.is_discrete_sweep() and search is None:
        return (
            f"an interval wants a sweeper that searches: add hydra/sweeper=optuna. Or give a list, {key}=A,B,C, or "
            f"{key}=range(FROM,TO,STEP), or {key}=choice(A,B,C)."
        )
    if getattr(override.value(), "shuffle", False):
        return "shuffle draws another order each time, so that the multirun could not go on. Leave it out."
    try:
        if not values_of(override):
            return "there is no value in it. Its first number is in a range, its last is not."
    except (HydraException, ValueError):
        return "a range cannot go by steps of 0."
    return "" if search is None else unsearchable(override, search)


def all_of(override: Override) -> str:
    """Whatever is said to a key, as written."""
    return "" if override.type is OverrideType.DEL else override.get_value_string()


def _text_of(value: str) -> str:
    """A value without the quotes that the grammar needs."""
    return shown(f"x={value}").removeprefix("x=")


def valid(overrides: list[Override], loader: ConfigLoader, origin: Origin, errors: list[str]) -> list[Override]:
    """The overrides without wrong choices of a part, and without what is said to such a part."""
    wrong = {each.key_or_group for each in overrides if not _is_valid_choice(each, loader, origin, errors)}
    chosen = [_text_of(values_of(each)[0]) for each in overrides if each.key_or_group == _LAUNCHER]
    told = {
        each.key_or_group: "" if _LAUNCHER in wrong else unknown_option(chosen[-1], each.key_or_group)
        for each in overrides
        if chosen and each.key_or_group.startswith("hydra.launcher.") and not each.is_add()
    }
    errors += filter(None, told.values())
    wrong |= {key for key, error in told.items() if error or _LAUNCHER in wrong}
    return [each for each in overrides if not {each.key_or_group, each.key_or_group.split(".")[0]} & wrong]


def _is_valid_choice(override: Override, loader: ConfigLoader, origin: Origin, errors: list[str]) -> bool:
    """Whether a choice of part names one that is there. Words that choose no part are valid here."""
    group = override.key_or_group
    if group == _LAUNCHER:
        why = unavailable([*map(_text_of, values_of(override))], names_in(group, loader, origin))
        errors += [why] if why else []
        return not why
    is_hydras = group.startswith("hydra/")
    if not (is_hydras or group in GROUPS) or override.type is OverrideType.DEL:
        return True
    if origin.is_stored and not is_hydras:
        errors.append(f"{group}: {origin.folder} stores one whole config, whose parts stay as they are.")
        return False
    names = names_in(group, loader, origin)
    wrong = [name for value in values_of(override) if (name := _text_of(value)) not in names]
    for value in wrong:
        errors.append(
            f"{group}: there is no {group} '{value}'.{did_you_mean(value, names)} There is {', '.join(names)}."
        )
    return not wrong


def names_in(group: str, loader: ConfigLoader, origin: Origin) -> list[str]:
    besides = [path.stem for folder in origin.besides for path in folder.glob(f"{group}/*.yaml")]
    return sorted({*loader.get_group_options(group), *besides})


def forced(override: Override, value: str) -> str:
    if override.type is OverrideType.DEL:
        return override.input_line or ""
    key = override.get_key_element()
    plain = key.lstrip("+")
    if plain.startswith("hydra"):  # Hydra's own settings, which the check of ours does not reach: as they are said
        return f"{key}={value}"
    return f"{'' if override.key_or_group in GROUPS else '++'}{plain}={value}"
