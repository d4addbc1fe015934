"""What was said to a run: the settings that are not what they are where nothing is said."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from trainer import registry
from trainer.config import ROOMS, conf_folder, flat
from trainer.settings import Settings
from trainer.stored import effect

_PLACES = ("name", "output", "resume", "resume_allow", "log_every", "report", "plugins")
"""Settings that say nothing of what a run does."""
_ABSENT = "–"


def unlike_defaults(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(key, value, default) of each setting that differs from its default; '–' where it has none.

    config: as a run stored it, nested. A part that this program does not know is told with all its options.
    """
    plain: dict[str, Any] = asdict(Settings())
    chosen = _choices(config)
    for room in ROOMS:
        node = config.get(room)
        if isinstance(node, Mapping):
            plain[room] = {"name": chosen.get(room), **_options(room, str(node.get("name")))}
    return [(key, here, default) for key, default, here in differing([plain, config])]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """(key, its value in each config) of every key in which they differ. The name of a part stands for its room.

    Options that belong to another part are not told: what it is already says that they are others.
    """
    each = [flat(config) for config in configs]
    keys = [key for key in dict.fromkeys(key for values in each for key in values) if not _of_another(key, each)]
    return [
        (key.removesuffix(".name"), *(_said(values, key) for values in each))
        for key in keys
        if key not in _PLACES and len({repr(effect(key, values.get(key))) for values in each}) > 1
    ]


def _of_another(key: str, each: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an option is absent where its room has another part."""
    name = f"{key.partition('.')[0]}.name"
    has_it, parts = {key in values for values in each}, {values.get(name) for values in each}
    return "." in key and len(has_it) > 1 and len(parts) > 1


def _said(values: Mapping[str, Any], key: str) -> str:
    """A value as YAML says it on one line."""
    if key not in values:
        return _ABSENT
    value = values[key]
    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _options(room: str, name: str) -> dict[str, Any]:
    found = registry.entries(room).get(name)
    options = found.options if found else {}
    return {key: _ABSENT if option.default is registry.REQUIRED else option.default for key, option in options.items()}


def _choices(config: Mapping[str, Any]) -> dict[str, str]:
    """The part of each room where none is said: that of conf/config.yaml, or what the data set or the task suggests."""
    chosen = _defaults_in(conf_folder() / "config.yaml")
    for room in ("data", "task"):
        node = config.get(room)
        path = conf_folder() / room / f"{node.get('name') if isinstance(node, Mapping) else ''}.yaml"
        if path.name in {each.name for each in path.parent.glob("*.yaml")}:
            chosen |= _defaults_in(path)
    return chosen


def _defaults_in(path: Path) -> dict[str, str]:
    """Room -> part, as the defaults of a YAML file have them."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", [])
    named = {key: name for each in listed if isinstance(each, dict) for key, name in each.items()}
    return {key.removeprefix("override /").partition("@")[0]: name for key, name in named.items()}
