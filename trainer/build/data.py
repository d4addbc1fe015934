"""The pictures that a config names: decoded, kept, and ready to be gathered into batches."""

from dataclasses import dataclass, replace

import torch

from trainer.build.parts import build_part
from trainer.config import Config
from trainer.data.source import Samples, Source
from trainer.data.tar_streams import COMMAND
from trainer.engine.device import free_memory
from trainer.errors import ConfigError
from trainer.feed.on_device import on_device
from trainer.feed.pack import Progress
from trainer.feed.store import Store, open_stores
from trainer.parallel.place import ONE, Place
from trainer.schema import Cache
from trainer.system.threads import cores
from trainer.task.task import Task


@dataclass(frozen=True)
class Stores:
    """The images of each part of a set, and how they are kept, in words."""

    train: Store
    val: Store
    test: Store | None
    notes: tuple[str, ...]


def open_source(config: Config) -> Source:
    """The data set: class names and samples; nothing is decoded yet.

    Raises ConfigError or DataError, also where its labels are not such as the task learns.
    """
    _refuse_command(config)
    task: Task = build_part(config, "task")
    source: Source = build_part(_with_labels(config, task), "data")
    if reason := task.refuse(source.train.labels, len(source.classes)):
        raise ConfigError(f"data={config.parts['data'].name}: {reason}")
    return source


def _refuse_command(config: Config) -> None:
    """Raises ConfigError where a config, and not who types, would have a command run: it may be a stranger's."""
    root = str(config.parts["data"].options.get("root"))
    if root.startswith(COMMAND) and "data.root" not in config.said:
        raise ConfigError(
            f"data.root: {root!r} would run a command that a config names, so it is taken from the command line alone. "
            f"Say it there."
        )


def _with_labels(config: Config, task: Task) -> Config:
    """The config where a set that may have one label a picture or several has what the task learns."""
    data = config.parts["data"]
    if "labels" not in data.options or data.options["labels"] is not None:
        return config
    options = {**data.options, "labels": task.labels}
    return replace(config, parts={**config.parts, "data": replace(data, options=options)})


def open_parts(config: Config, source: Source, progress: Progress, place: Place = ONE) -> Stores:
    """Training, validation and test images.

    Read before the run: an image that cannot be read is told now, not at the end. Raises DataError with all of them.
    """
    parts = [source.train, source.val, *([source.test] if source.test is not None else [])]
    stores, notes = keep(config, source, parts, progress, place)
    return Stores(stores[0], stores[1], stores[2] if stores[2:] else None, notes)


def keep(
    config: Config, source: Source, parts: list[Samples], progress: Progress, place: Place = ONE
) -> tuple[list[Store], tuple[str, ...]]:
    """A store for each of the parts, and a note on where they are kept. Raises DataError as open_parts does."""
    settings, data = config.settings, config.parts["data"]
    root = data.options.get("root") or data.options.get("file") or ""
    stores, note = open_stores(
        parts,
        source.keep,
        workers=cores() if settings.workers == "auto" else settings.workers,
        title=f"{data.name} {root}".strip(),
        progress=progress,
        processes=place.local_size,
    )
    return list(stores), tuple(filter(None, [note]))


def carry(stores: Stores, cache: Cache, device: torch.device, *, one_by_one: bool) -> Stores:
    """The same, with the images of training and validation on a GPU where they are to lie there, and fit.

    one_by_one: whether training takes each image through the CPU. Raises ConfigError or DataError where they cannot lie
    where they are to.
    """
    if device.type != "cuda":
        return stores
    if one_by_one and cache == "device":
        raise ConfigError("data.cache: aug.auto works on the CPU, and so not with device. Use data.cache=auto.")
    wanted = "ram" if one_by_one else cache
    (train, val), note = on_device([stores.train, stores.val], wanted, device, free_memory(device))
    return replace(stores, train=train, val=val, notes=(*stores.notes, *filter(None, [note])))
