"""What may be said to a run: the settings that every run has, one part for each room, and the check of both.

Nothing here imports torch, so that a wrong word is told in a fraction of a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from trainer import registry, schema
from trainer.contradictions import contradicting
from trainer.errors import ConfigError, did_you_mean
from trainer.registry import REQUIRED
from trainer.schema import BelowOne, Budget, Count, Positive, Whole
from trainer.stored import effect

_ONE_LABEL = ("cross_entropy", "mse", "l1")
"""Losses that ask for the one class of a picture."""
OWN_PICTURES = ("folder", "table")
"""The data parts that hold what the user brings: for them a whole recipe is chosen where little is said."""
SCORES = {"single": "val_accuracy", "multi": "val_map"}
"""The score of each task, by which epochs are selected and runs ranked where monitor says nothing."""
ROOMS = tuple(registry.REGISTRIES)
GROUPS = (*ROOMS, "experiment")


@dataclass(frozen=True)
class Settings:
    """The settings that every run has. conf/config.yaml says in words what each does."""

    preset: Literal["auto", "none"] = "auto"
    budget: Budget | None = None
    epochs: Count = 5
    batch_size: Count = 128
    seed: Whole = 0
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    deterministic: bool = True
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    workers: Whole | Literal["auto"] = "auto"
    accumulate: Count = 1
    clip_norm: Positive | None = None
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    ema: BelowOne = 0.0
    channels_last: bool = True
    compile: bool | Literal["reduce-overhead"] = False
    kernels: Literal["auto", "torch"] = "auto"
    limit_train: Count | None = None
    limit_val: Count | None = None
    limit_test: Count | Literal["all"] | None = None
    name: str | None = None
    resume: str | None = None
    resume_allow: list[str] = field(default_factory=list)
    output: str = "outputs"
    log_every: Count = 10
    save_every: Whole = 0
    keep_every: Whole = 0
    early_stop: Count | None = None
    monitor: Literal["val_accuracy", "val_map", "val_loss"] | None = None
    report: bool = True
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """The part chosen for a room, and what was said to it."""

    name: str
    options: dict[str, Any]


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
        return _is_probe(self.parts)

    def plain(self) -> dict[str, Any]:
        """The config as nested plain data, as config.yaml holds it: check(config.plain()) == config."""
        parts = {room: {"name": choice.name, **choice.options} for room, choice in self.parts.items()}
        return {**asdict(self.settings), **parts}


HARMLESS_ON_RESUME = {
    "preset",
    "budget",
    "epochs",
    "workers",
    "name",
    "resume",
    "resume_allow",
    "output",
    "log_every",
    "save_every",
    "keep_every",
    "early_stop",
    "report",
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
        settings = replace(settings, epochs=1, early_stop=None) if _is_probe(parts) else settings
        errors += _contradictions(settings, epochs_are_known=not _chooses_epochs(settings, parts))
        errors += _contradicting_parts(settings, parts)
        errors += _wrongly_allowed(settings, plain)
    data = parts.get("data")
    if not errors and data:
        errors += contradicting(data.options)
    if errors or settings is None:
        raise ConfigError("\n".join(errors))
    return Config(settings, {room: choice for room, choice in parts.items() if choice})


def _is_probe(parts: Mapping[str, Choice | None]) -> bool:
    finetune = parts.get("finetune")
    return finetune is not None and finetune.name == "probe"


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
        hint = did_you_mean(str(value), schema.choices(annotation))
        if schema.wants_quotes(value, annotation):
            hint = " Text that looks like a number, or like true, wants quotes."
        errors.append(f"{where}: {error}.{hint}")
        return None


def _is_inside(name: str) -> bool:
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _chooses_epochs(settings: Settings, parts: Mapping[str, Choice | None]) -> bool:
    """Whether a number of epochs that nobody has said is yet to be chosen."""
    data = parts.get("data")
    suits = settings.preset == "auto" and data is not None and data.name in OWN_PICTURES
    return settings.epochs == Settings.epochs and (suits or settings.budget is not None)


def _contradictions(settings: Settings, *, epochs_are_known: bool) -> list[str]:
    """Settings that are each right and cannot act together."""
    lines = []
    if settings.name is not None and not _is_inside(settings.name):
        lines.append(f"name: {settings.name!r} names no folder inside output. Choose that with output=FOLDER.")
    if epochs_are_known and settings.early_stop is not None and settings.early_stop >= settings.epochs:
        lines.append(
            f"early_stop: {settings.early_stop} epochs without progress cannot happen in epochs={settings.epochs}. "
            f"Lower it, or raise epochs."
        )
    return lines + beyond_device(settings, settings.device)


def beyond_device(settings: Settings, device: str, cache: str = "auto") -> list[str]:
    """What is asked of a device (cpu | cuda | mps) and it cannot do; of auto, once one is chosen. cache: data.cache."""
    lines = []
    if device in ("cpu", "mps") and settings.precision == "tf32":
        lines.append(f"precision: tf32 is a way of CUDA's to multiply, which {device} lacks. Use precision=fp32.")
    if device == "mps" and settings.precision == "fp16":
        lines.append("precision: fp16 needs a gradient scaler, which mps lacks. Use precision=bf16 or fp32.")
    if device == "mps" and settings.on_nonfinite == "skip":
        lines.append("on_nonfinite: skip needs a gradient scaler, which mps lacks. Use on_nonfinite=rollback or stop.")
    if device != "cuda" and cache == "device":
        lines.append(
            f"data.cache: device is the memory of a CUDA GPU, and this run is on {device}. Use data.cache=auto."
        )
    return lines


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


def _contradicting_parts(settings: Settings, parts: Mapping[str, Choice | None]) -> list[str]:
    """Parts that are each right and cannot act together."""
    lines = []
    lines += _of_task(settings, parts)
    model, init, sched, finetune = (parts.get(room) for room in ("model", "init", "sched", "finetune"))
    weights = model.options.get("weights") if model else None
    if model and finetune and finetune.name != "none" and weights is None:
        lines.append(
            f"finetune: '{finetune.name}' would freeze a body that has learnt nothing: model '{model.name}' loads no "
            f"weights. Say model.weights=FILE, or finetune=none."
        )
    data = parts.get("data")
    if model and data and data.options.get("val") == "none":
        lines.append(
            "data.val: none holds nothing out, which is for scoring a set as a whole. Give a share to train: 0.1."
        )
    if init and init.name != "keep" and weights is not None:
        lines.append(f"init: '{init.name}' would overwrite what model.weights loads. Use init=keep.")
    if sched and sched.name == "plateau" and not _is_probe(parts):
        patience = sched.options["patience"]
        if isinstance(patience, int) and settings.epochs < patience + 2:
            lines.append(
                f"sched.patience: a rate that waits for {patience} epochs without progress cannot fall in "
                f"epochs={settings.epochs}. Lower it, or raise epochs to {patience + 2} at least."
            )
        if isinstance(patience, int) and settings.early_stop is not None and settings.early_stop <= patience:
            lines.append(
                f"sched.patience: early_stop={settings.early_stop} ends the run before the rate falls. "
                f"Set early_stop={patience + 1} at least, or lower sched.patience."
            )
    return lines


def other_loss(loss: str, task: str) -> str:
    """The line about a loss that asks for the labels of another task."""
    if task == "multi":
        return (
            f"loss: {loss} asks for the one class of a picture, and with task=multi it may have several. "
            f"Use loss=binary_cross_entropy or loss=focal."
        )
    return f"loss: {loss} does not learn what task={task} is about. Choose another one: loss=cross_entropy."


def _of_task(settings: Settings, parts: Mapping[str, Choice | None]) -> list[str]:
    """What the task cannot be scored by, and data that say that they have labels of another one."""
    task, data, lines = parts.get("task"), parts.get("data"), list[str]()
    if task is None:
        return []
    if task.name not in SCORES:
        return [
            f"task: '{task.name}' is a plugin's, and no task can be yet: how its answers are told is not known. "
            f"Choose task={' or task='.join(SCORES)}."
        ]
    score = SCORES[task.name]
    if settings.monitor not in (None, "val_loss", score):
        lines.append(f"monitor: {settings.monitor} is no score of task={task.name}. Use {score}, val_loss or null.")
    loss = parts.get("loss")
    if task.name == "multi" and loss and loss.name in _ONE_LABEL:
        lines.append(other_loss(loss.name, task.name))
    labels = data.options.get("labels") if data else None
    wanted = {"single": "one", "multi": "several"}.get(task.name)
    if labels is not None and labels != wanted:
        other = {"one": "single", "several": "multi"}[labels]
        lines.append(
            f"data.labels: {labels} is not what task={task.name} learns. Say task={other}, or data.labels={wanted}."
        )
    return lines
