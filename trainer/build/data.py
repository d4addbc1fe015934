"""The pictures that a config names: decoded, kept, and ready to be gathered into batches."""

import os
from dataclasses import dataclass

from trainer.build.parts import build_part
from trainer.config import Config, Settings
from trainer.data.source import Samples, Source
from trainer.data.splits import limit
from trainer.feed.pack import Progress
from trainer.feed.store import Store, open_stores


@dataclass(frozen=True)
class Stores:
    """The images of each part of a set, and how they are kept, in words."""

    train: Store
    val: Store
    test: Store | None
    notes: tuple[str, ...]


def open_source(config: Config) -> Source:
    """The data set: class names and samples; nothing is decoded yet. Raises ConfigError or DataError."""
    source: Source = build_part(config, "data")
    return source


def open_parts(config: Config, source: Source, progress: Progress) -> Stores:
    """Training, validation and test images.

    Read before the run: an image that cannot be read is told now, not at the end. Raises DataError with all of them.
    """
    parts = list(limited(config.settings, source).values())
    stores, notes = keep(config, source, parts, progress)
    return Stores(stores[0], stores[1], stores[2] if stores[2:] else None, (*_limits(config.settings), *notes))


def limited(settings: Settings, source: Source) -> dict[str, Samples]:
    """'train', 'val' and, where the set has one, 'test': as many of their images as the settings allow."""
    limits = {"train": settings.limit_train, "val": settings.limit_val, "test": None}
    parts = {"train": source.train, "val": source.val, "test": source.test}
    return {
        name: samples if (count := limits[name]) is None else limit(samples, count, f"limit_{name}")
        for name, samples in parts.items()
        if samples is not None
    }


def keep(
    config: Config, source: Source, parts: list[Samples], progress: Progress
) -> tuple[list[Store], tuple[str, ...]]:
    """A store for each of the parts, and a note on where they are kept. Raises DataError as open_parts does."""
    settings, data = config.settings, config.parts["data"]
    place = data.options.get("root") or data.options.get("file") or ""
    stores, note = open_stores(
        parts,
        source.keep,
        workers=_cores() if settings.workers == "auto" else settings.workers,
        title=f"{data.name} {place}".strip(),
        progress=progress,
    )
    return list(stores), tuple(filter(None, [note]))


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limits(settings: Settings) -> tuple[str, ...]:
    """A word where only a part of the images is used."""
    limits = {"limit_train": settings.limit_train, "limit_val": settings.limit_val}
    said = ", ".join(f"{name}={count}" for name, count in limits.items() if count is not None)
    return (f"{said}: only so many of these images are used, every class in its share.",) if said else ()
