"""A config in which what nobody has said is chosen, key by key, each with its reason."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from trainer import registry
from trainer.config import ROOMS, Choice, Config, Settings, check, flat, nested

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

        'optim.lr' is one of the part that is chosen, or there is nothing to choose; 'optim' is the part itself, which
        whoever has said one of its options has chosen too.
        """
        if key in self.chosen:
            return True
        room, _, option = key.partition(".")
        if option:
            known = _options(self.config, self.config.parts[room])
            default = known[option].default if option in known else registry.REQUIRED
            return key not in self.config.said and self.config.parts[room].options.get(option) == default
        if room in ROOMS:
            return not any(said.partition(".")[0] == room for said in self.config.said)
        return key not in self.config.said and getattr(self.config.settings, key) == _DEFAULTS[key]

    def choose(self, key: str, value: Any, reason: str = "") -> None:
        """The value, where nobody has said another; reason: a sentence."""
        self.choose_all({key: value}, reason)

    def choose_all(self, values: Mapping[str, Any], reason: str = "") -> None:
        """The same for several at once, some of which may act together only."""
        free = {key: value for key, value in values.items() if self.is_free(key) and self.value(key) != value}
        if free:
            self.config = with_values(self.config, free)
            self.chosen |= free
            self._reasons |= dict.fromkeys(free, reason)

    def value(self, key: str) -> Any:
        """What the config says of a key; for a room, the name of its part."""
        room, _, option = key.partition(".")
        if option:
            return self.config.parts[room].options.get(option)
        return self.config.parts[room].name if room in ROOMS else getattr(self.config.settings, key)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with other values, checked: {'epochs': 20, 'optim.lr': 0.1, 'model': 'xresnet18'}, say.

    A part that is chosen begins with its own defaults.
    """
    plain = flat(config.plain())
    for key, value in values.items():
        if key in ROOMS:
            plain = {each: said for each, said in plain.items() if each.partition(".")[0] != key}
            plain[f"{key}.name"] = value
        else:
            plain[key] = value
    return replace(check(nested(plain)), said=config.said)


def _options(config: Config, choice: Choice) -> dict[str, registry.Option]:
    room = next(room for room, each in config.parts.items() if each is choice)
    return registry.entries(room, config.settings.plugins)[choice.name].options


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
