"""A config in which what nobody has said is chosen, key by key, each with its reason."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import yaml

from trainer import registry
from trainer.config import ROOMS, Config, check, conf_folder, flat, nested
from trainer.settings import Settings

RATE, SOUGHT = "optim.lr", "auto"
_DEFAULTS = asdict(Settings())


class Draft:
    """Holds the config as far as it is chosen, what was chosen, and why."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.chosen: dict[str, Any] = {}
        self._reasons: dict[str, str] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """What was chosen for one reason together, and the reason."""
        together: dict[str, list[str]] = {}
        for key, reason in self._reasons.items():
            together.setdefault(reason, []).append(f"{key}={_shown(self.chosen[key])}")
        return tuple(f"preset: {' '.join(choices)}: {reason}" for reason, choices in together.items())

    def is_free(self, key: str) -> bool:
        """Whether it is ours to choose: no word on the command line says it, and no YAML file gives it another value.

        'optim.lr' is an option of the part that is chosen, 'optim' the part itself.
        """
        if key in self.chosen or self.is_sought(key):
            return True
        if key in self.config.said:
            return False
        room, _, option = key.partition(".")
        if option:
            known = self._options(room)
            return option in known and bool(self.value(key) == known[option].default)
        return bool(self.value(key) == (_default_parts().get(room) if room in ROOMS else _DEFAULTS[key]))

    def is_sought(self, key: str) -> bool:
        """Whether it is left to a search: optim.lr=auto."""
        return key == RATE and self.value(key) == SOUGHT

    def choose(self, key: str, value: Any, reason: str = "") -> None:
        """The value, where nobody has said another; reason: a sentence."""
        self.choose_all({key: value}, reason)

    def choose_all(self, values: Mapping[str, Any], reason: str = "") -> None:
        """The same for several at once, some of which may act together only.

        A part is not chosen where an option was said that it lacks: whoever said that means the part that has it.
        """
        free = {
            key: value
            for key, value in values.items()
            if self.is_free(key)
            and (self.value(key) != value or key in self.chosen)  # chosen again, for another reason
            and self._takes_what_is_said(key, value)
        }
        if free:
            self.config = with_values(self.config, free)
            self.chosen |= free
            self._reasons |= dict.fromkeys(free, reason)

    def choose_part(self, room: str, part: str, options: Mapping[str, Any], reason: str) -> None:
        """A part with its options, each where it has that and nobody has said it; not where another part was said."""
        parts, is_other = registry.entries(room, self.config.settings.plugins), part != self.value(room)
        if part not in parts or not self.is_free(room) or not self._takes_what_is_said(room, part):
            return
        values: dict[str, Any] = {room: part} if is_other else {}
        for option, value in options.items():
            key, known = f"{room}.{option}", parts[part].options
            is_ours = key not in self.config.said if is_other else self.is_free(key)
            if is_ours and option in known and value != known[option].default:
                values[key] = value
        if values:
            self.config = with_values(self.config, values)
            self.chosen |= values
            self._reasons |= dict.fromkeys(values, reason)

    def default(self, key: str) -> Any:
        """What the part that is chosen takes an option for where nothing is said."""
        room, _, option = key.partition(".")
        return self._options(room)[option].default

    def value(self, key: str) -> Any:
        """What the config says of a key; for a room, the name of its part."""
        return value_of(self.config, key)

    def _takes_what_is_said(self, room: str, part: Any) -> bool:
        if room not in ROOMS:
            return True
        known = registry.entries(room, self.config.settings.plugins)[part].options
        said = [key.partition(".")[2] for key in self.config.said if key.startswith(f"{room}.")]
        return all(option in known for option in said)

    def _options(self, room: str) -> dict[str, registry.Option]:
        return registry.entries(room, self.config.settings.plugins)[self.config.parts[room].name].options


def value_of(config: Config, key: str) -> Any:
    """What a config says of a key; for a room, the name of its part."""
    room, _, option = key.partition(".")
    if option:
        return config.parts[room].options.get(option)
    return config.parts[room].name if room in ROOMS else getattr(config.settings, key)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with other values, checked: {'epochs': 20, 'optim.lr': 0.1, 'model': 'xresnet18'}, say.

    A part that is chosen begins with its own defaults, but for what was said.
    """
    plain = flat(config.plain())
    for key, value in values.items():
        if key in ROOMS:
            others = [each for each in plain if each.partition(".")[0] == key and each not in config.said]
            plain = {each: said for each, said in plain.items() if each not in others}
            plain[f"{key}.name"] = value
        else:
            plain[key] = value
    return replace(check(nested(plain)), said=config.said)


@cache
def _default_parts() -> dict[str, str]:
    """The part of each room where nothing is said: conf/config.yaml's."""
    listed = yaml.safe_load((conf_folder() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return {room: name for each in listed if isinstance(each, dict) for room, name in each.items()}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
