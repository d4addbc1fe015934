"""What Hydra's own settings may not hold: a name of code to run. A config names registered parts, and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

_RUNS = ("_target_", "()", "class", "env_set")
"""Keys by which a config can make Hydra, or Python's logging, call what it names."""
_PLUGINS = ("hydra.launcher._target_", "hydra.sweeper._target_")
"""Where Hydra itself takes nothing but plugins that are installed as such."""
_HYDRAS_OWN = ("logging.StreamHandler", "logging.FileHandler")
_TELLING = re.compile(r"\$\{([\w.]+|(now|oc\.env):[^${}]*)\}")
"""What may stand first in a value of Hydra's own settings: another key, which is looked at too, the time, or a word of
the environment. What else is worked out of a text may be a mapping that names code."""


def code_named_in(hydra: DictConfig) -> list[str]:
    """A refusal of each place in Hydra's own settings that names code to run, which no check of ours reaches."""
    return [
        f"{place}: {value!r} would run code that a config names, and is refused. "
        f"Parts of your own come in by plugins=[their.module]."
        for place, value in _named("hydra", OmegaConf.to_container(hydra))
        if _is_hidden(value)
        or (value and place.rpartition(".")[2] in _RUNS and place not in _PLUGINS and value not in _HYDRAS_OWN)
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
