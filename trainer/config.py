"""What is said to a run as a whole: the settings, one part for each room, and the check of both.

Nothing here imports torch, so that a wrong word is told in a fraction of a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from trainer import registry, schema
from trainer.agreement import is_probe, of_parts, of_settings
from trainer.contradictions import contradicting
from trainer.errors import ConfigError, did_you_mean
from trainer.registry import REQUIRED
from trainer.settings import SCORES, Choice, Settings
from trainer.stored import effect

OWN_PICTURES = ("folder", "table")
"""The data parts that hold what the user brings: for them a whole recipe is chosen where little is said."""
ROOMS = tuple(registry.REGISTRIES)
GROUPS = (*ROOMS, "experiment")


@dataclass(frozen=True)
class Config:
    """A whole config that passed the check."""

    settings: Settings
    parts: dict[str, Choice]
    said: frozenset[str] = field(default=frozenset(), compare=False)
    """The keys that the command line says."""

    @property
    def monitor(self) -> str:
        """What selects the best epoch and ranks runs."""
        return self.settings.monitor or SCORES[self.parts["task"].name]

    @property
    def is_probe(self) -> bool:
        """Whether the run is one fit of the last layer, and takes no steps."""
        return is_probe(self.parts)

    def plain(self) -> dict[str, Any]:
        """The config as nested plain data, as config.yaml holds it: check(config.plain()) == config."""
        parts = {room: {"name": choice.name, **choice.options} for room, choice in self.parts.items()}
        return {**asdict(self.settings), **parts}


HARMLESS_ON_RESUME = {
    "preset",
    "budget",
    "epochs",
    "workers",
    "parallel",
    "name",
    "resume",
    "resume_allow",
    "output",
    "log_every",
    "save_every",
    "keep_every",
    "early_stop",
    "report",
    "track",
    "track_project",
    "track_weights",
    "limit_test",
    "task.threshold",
    "data.root",
    "data.file",
    "data.parts",
    "data.path",
    "data.ending",
    "data.label",
    "data.split",
    "data.cache",
    "data.cache_dir",
    "data.cache_limit",
}
"""What may change when a run goes on: nothing here alters a step that was taken or will be taken, but for epochs,
which may only be raised, and where the data are and how they are listed, behind which the fingerprint stands guard."""

FIXED_ON_RESUME = ("task.name", "model.name", "optim.name", "monitor")
"""What resume_allow cannot free: another task has other labels, another model other weights, another optimizer another
state, another monitor another idea of the best."""


def without_weights(config: Config) -> Config:
    """The config without the file that the run began from: what it has learnt holds all of it, and the file may be
    gone."""
    model = config.parts["model"]
    if "weights" not in model.options:
        return config
    parts = {**config.parts, "model": replace(model, options={**model.options, "weights": None})}
    return replace(config, parts=parts)


def conf_folder() -> Path:
    """Where the YAML files lie: inside the package in an installed wheel, beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


def check(plain: Mapping[str, Any], rooms: Sequence[str] = ROOMS) -> Config:
    """The config that the plain data say. Raises ConfigError with ALL that is wrong, one error a line.

    rooms: those whose parts are looked at; the config has no others.
    """
    errors: list[str] = []
    settings = _check_settings(plain, errors)
    plugins = settings.plugins if settings else []
    parts = {room: _check_part(room, plain.get(room), plugins, errors) for room in rooms}
    if settings:
        settings = replace(settings, epochs=1, early_stop=None) if is_probe(parts) else settings
        errors += of_settings(settings, epochs_are_known=not _chooses_epochs(settings, parts))
        errors += of_parts(settings, parts)
        errors += _wrongly_allowed(settings, plain)
    data = parts.get("data")
    if not errors and data:
        errors += contradicting(data.options)
    if errors or settings is None:
        raise ConfigError("\n".join(errors))
    return Config(settings, {room: choice for room, choice in parts.items() if choice})


def flat(plain: Mapping[str, Any]) -> dict[str, Any]:
    """{'epochs': 5, 'optim.lr': 0.1, ...}: one level of dots, as the command line says it."""
    result: dict[str, Any] = {}
    for key, value in plain.items():
        if key in ROOMS and isinstance(value, Mapping):
            result |= {f"{key}.{option}": each for option, each in value.items()}
        else:
            result[key] = value
    return result


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """What flat() has flattened, as it was: {'epochs': 5, 'optim': {'lr': 0.1, ...}, ...}."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        room, dot, option = key.partition(".")
        if dot:
            result.setdefault(room, {})[option] = value
        else:
            result[key] = value
    return result


def essential(config: Config) -> dict[str, Any]:
    """What the steps of a run depend on, flat: every checkpoint holds it, and a resumed run is held to it."""
    values = {key: effect(key, value) for key, value in flat(config.plain()).items()} | {"monitor": config.monitor}
    return {key: value for key, value in values.items() if key == "epochs" or key not in HARMLESS_ON_RESUME}


def differences(before: Mapping[str, Any], now: Config) -> tuple[list[str], list[str]]:
    """What was changed since a checkpoint that holds `before`: first what is refused, then what resume_allow allows.

    One line each: 'optim.lr: 0.1 before, 0.2 now'.
    """
    new, free = essential(now), now.settings.resume_allow
    old = {**_defaults(now), **before}  # an option that is younger than the checkpoint had its default's effect
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and key != "epochs"]
    lines = {key: f"{key}: {_shown(old, key)} before, {_shown(new, key)} now" for key in changed}
    refused = [line for key, line in lines.items() if not _is_allowed(key, free) or key in FIXED_ON_RESUME]
    allowed = [line for line in lines.values() if line not in refused]
    if now.settings.epochs < before["epochs"]:
        refused.append(f"epochs: {before['epochs']} before, {now.settings.epochs} now: it may only be raised")
    return refused, allowed


def _defaults(config: Config) -> dict[str, Any]:
    """What each essential key is where nothing is said: of the settings, and of the parts that are chosen."""
    plain: dict[str, Any] = asdict(Settings())
    for room, choice in config.parts.items():
        options = registry.entries(room, config.settings.plugins)[choice.name].options
        plain[room] = {key: option.default for key, option in options.items() if option.default is not REQUIRED}
    plain["task"] = {"name": "single", **plain.get("task", {})}  # of before there was a choice
    return {key: effect(key, value) for key, value in flat(plain).items() if key not in HARMLESS_ON_RESUME}


def _is_allowed(key: str, allowed: Sequence[str]) -> bool:
    """Whether the key, or the room that it is in, is among them."""
    return key in allowed or key.partition(".")[0] in allowed


def _shown(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "absent"


def _check_settings(plain: Mapping[str, Any], errors: list[str]) -> Settings | None:
    hints = get_type_hints(Settings, include_extras=True)
    known = {each.name for each in fields(Settings)}
    before = len(errors)
    values: dict[str, Any] = {}
    for key, value in plain.items():
        if key in GROUPS:
            continue
        if key not in known:
            hint = _option_named(key, plain) or did_you_mean(key, [*known, *GROUPS])
            hint = hint or f" The settings are {', '.join(sorted(known))}."
            errors.append(f"{key}: there is no such setting.{hint}")
            continue
        values[key] = _conform(key, value, hints[key], errors)
        if key in ("output", "resume") and isinstance(values[key], str):
            values[key] = str(Path(values[key]).expanduser())
    return Settings(**values) if len(errors) == before else None


def _option_named(key: str, plain: Mapping[str, Any]) -> str:
    """A sentence that names the option meant by a bare key: lr is an option of optim."""
    rooms = [room for room in ROOMS if isinstance(plain.get(room), Mapping) and key in plain[room]]
    return f" Did you mean '{rooms[0]}.{key}'?" if rooms else ""


def _check_part(room: str, node: Any, plugins: list[str], errors: list[str]) -> Choice | None:
    try:
        parts = registry.entries(room, plugins)
    except ConfigError as error:
        if str(error) not in errors:  # a plugin that is missing is missing for every room
            errors.append(str(error))
        return None
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        errors.append(f"{room}: names no part. Choose one with {room}=NAME: {', '.join(sorted(parts))}.")
        return None
    name, said = node["name"], {key: value for key, value in node.items() if key != "name"}
    if name not in parts:
        errors.append(f"{registry.unknown(room, name, parts)} A part of your own wants plugins=[its.module].")
        return None
    return Choice(name, _check_options(room, name, said, parts, errors))


def _check_options(
    room: str, name: str, said: dict[str, Any], parts: Mapping[str, registry.Entry], errors: list[str]
) -> dict[str, Any]:
    part, options = f"{room} '{name}'", parts[name].options
    values: dict[str, Any] = {}
    for key in said:
        if key not in options:
            takes = f"It takes {', '.join(options)}." if options else "It takes no options."
            hint = _others_with(key, room, parts) or did_you_mean(key, options)
            errors.append(f"{part}: unknown option '{key}'.{hint} {takes}")
    for key, option in options.items():
        if said.get(key, option.default) in (REQUIRED, "???"):
            errors.append(f"{part}: option '{key}' is needed. Say {room}.{key}=…")
            continue
        values[key] = _conform(f"{room}.{key}", said.get(key, option.default), option.annotation, errors)
    return values


def _others_with(key: str, room: str, parts: Mapping[str, registry.Entry]) -> str:
    """A sentence that names the parts of the room with such an option."""
    names = sorted(name for name, part in parts.items() if key in part.options)
    return f" It is an option of {', '.join(names)}: choose one with {room}=NAME." if names else ""


def _conform(where: str, value: Any, annotation: Any, errors: list[str]) -> Any:
    try:
        return schema.conform(value, annotation)
    except ValueError as error:
        choices = schema.choices(annotation)
        wrong = [each for each in (value if isinstance(value, list) else [value]) if each not in choices]
        hint = did_you_mean(str(wrong[0]), choices) if wrong else ""
        if schema.wants_quotes(value, annotation):
            hint = " Text that looks like a number, or like true, wants quotes."
        errors.append(f"{where}: {error}.{hint}")
        return None


def _chooses_epochs(settings: Settings, parts: Mapping[str, Choice | None]) -> bool:
    """Whether a number of epochs that nobody has said is yet to be chosen."""
    data = parts.get("data")
    suits = settings.preset == "auto" and data is not None and data.name in OWN_PICTURES
    return settings.epochs == Settings.epochs and (suits or settings.budget is not None)


def _wrongly_allowed(settings: Settings, plain: Mapping[str, Any]) -> list[str]:
    """What resume_allow names and cannot allow."""
    names, lines = {*flat(plain), *ROOMS} - HARMLESS_ON_RESUME, []
    for key in settings.resume_allow:
        if key in FIXED_ON_RESUME:
            lines.append(f"resume_allow: {key} cannot change within a run. Start a new one, with model.weights=FILE.")
        elif key not in names:
            lines.append(
                f"resume_allow: there is no setting '{key}' that a resumed run is held to."
                f"{did_you_mean(key, names)} Name settings, or a room for all in it: [optim.lr,aug]."
            )
    if settings.resume_allow and settings.resume is None:
        lines.append("resume_allow: it acts on a run that goes on. Say which: resume=FOLDER.")
    return lines
