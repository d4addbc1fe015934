"""What Hydra's own settings may not hold: a name of code to run. A config names registered parts, and nothing else."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainer.sweep.launcher import LAUNCHERS, options_of
from trainer.sweep.options import TARGET

_RUNS = ("_target_", "()", "class", "env_set")
"""Keys by which a config can make Hydra, or Python's logging, call what it names."""
_LAUNCHER = "hydra.launcher"
_PLUGINS = {
    f"{_LAUNCHER}._target_": LAUNCHERS.values(),
    "hydra.sweeper._target_": ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper", TARGET),
}
"""What Hydra may be told to launch and to sweep by."""
_COMMANDS = ("setup", "additional_parameters", "ray")
"""Options of launchers that a cluster's shell may come to see, or that lead to a cluster."""
_HYDRAS_OWN = ("logging.StreamHandler", "logging.FileHandler")
_TELLING = re.compile(r"\$\{([\w.]+|(now|oc\.env):[^${}]*)\}")
"""What may stand first in a value of Hydra's own settings: another key, which is looked at too, the time, or a word of
the environment. What else is worked out of a text may be a mapping that names code."""


def code_named_in(hydra: DictConfig, words: Sequence[str]) -> list[str]:
    """A refusal of each place in Hydra's own settings that names code to run, which no check of ours reaches.

    words: the command line, on which commands for a cluster may stand.
    """
    settings: Any = OmegaConf.to_container(hydra)
    refused = [
        f"{place}: {value!r} would run code that a config names, and is refused. "
        f"Parts of your own come in by plugins=[their.module]."
        for place, value in _named("hydra", settings)
        if _is_hidden(value) or (value and place.rpartition(".")[2] in _RUNS and not _is_known(place, value))
    ]
    return refused or _commands_in(settings, words)


def _is_known(place: str, value: Any) -> bool:
    return value in _PLUGINS[place] if place in _PLUGINS else value in _HYDRAS_OWN


def _commands_in(settings: Any, words: Sequence[str]) -> list[str]:
    """A refusal of each option of the launcher by which a config, and not who types, would have a cluster run code."""
    name = next(name for name, target in LAUNCHERS.items() if target == settings["launcher"]["_target_"])
    own = dict(_named(_LAUNCHER, options_of(name)))
    harmless = {place for place in own if place.split(".")[2] not in _COMMANDS}
    typed = tuple(word.partition("=")[0].lstrip("+") for word in words if word.lstrip("+").startswith(f"{_LAUNCHER}."))
    return [
        f"{place}: by this a cluster could be made to run commands, so it is taken from the command line alone."
        for place, value in _named(_LAUNCHER, settings["launcher"])
        if not isinstance(value, dict | list)
        and not (place in own and own[place] == value)
        and not any(f"{place}.".startswith(f"{key}.") for key in typed)
        and not (place in harmless and "\n" not in str(value))
    ]


def _is_hidden(value: Any) -> bool:
    """Whether the value is whatever a resolver makes of a text. Behind other words it is words."""
    return isinstance(value, str) and value.startswith("${") and not _TELLING.match(value)


def _named(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every key below, by its place, with its value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield f"{place}.{key}", each
        yield from _named(f"{place}.{key}", each)
