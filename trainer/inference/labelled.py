"""Labelled pictures that runs are scored on: a part of the data that a run was trained with, or another set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from trainer.build.data import open_source
from trainer.config import Config
from trainer.data.fingerprint import fingerprint
from trainer.data.limits import limited
from trainer.data.listing import files_of
from trainer.data.source import Samples, Source
from trainer.errors import ConfigError, DataError, some
from trainer.feed.preprocessing import Preprocessing
from trainer.inference.classes import ClassMatch, match_classes
from trainer.inference.saved import SavedRun
from trainer.records.folder import read_json
from trainer.registry import Option, entries
from trainer.schema import typed
from trainer.size import Size

Split = Literal["train", "val", "test"]
PARTS = ("train", "val", "test")
_KEEPING = ("data.cache", "data.cache_dir", "data.cache_limit")
"""Words on where decoded images are kept, which say nothing of what they are."""
_PREPARED = ("size", "prepare", "resize", "fit", "crop_share", "grey", "denoise", "normalise", "mean", "std")
"""Options by which pictures are prepared: always as the run's were."""
_DIVIDED = {"single": ("val", "folds", "fold", "group", "ignore"), "multi": ("val", "folds", "fold", "group")}
"""Options of the training that mean nothing to other pictures, all of which are scored. By the task: of several labels
some may be unknown there too."""


@dataclass(frozen=True)
class Labelled:
    """Pictures with labels, prepared as one run sees them; nothing is decoded yet."""

    name: str
    """What they are called, in a file's name too: the part, or the other set."""
    is_own: bool
    """Whether they are a part of the data that the run was trained with."""
    has_trained_on: bool
    """Whether the run was trained on some of them, as far as their place tells."""
    place: str
    """The whole path of the folder or table that they come from, or the name of a set that has none."""
    config: Config
    source: Source
    parts: Mapping[str, Samples]
    """Those that are scored, by the part that they are."""
    match: ClassMatch
    """Where their classes stand among the run's."""
    training_labels: Tensor | None
    """The labels of the images that the run was trained on, among its classes; None where these are not at hand."""
    notes: tuple[str, ...]

    @property
    def labels(self) -> Tensor:
        """Those of the task, (N,) or (N, C), among the set's own classes; -1 for none."""
        return torch.cat([samples.labels for samples in self.parts.values()])

    @property
    def paths(self) -> list[str]:
        """(N,) the files; of a set without files, the names that its images have."""
        return [path for part, samples in self.parts.items() for path in self._paths(part, samples)]

    def known(self, labels: Tensor) -> Tensor:
        """Labels of the set as those of the run: -1 where there is none that it knows."""
        return torch.from_numpy(self.match.labels(labels.numpy()))

    def _paths(self, part: str, samples: Samples) -> list[str]:
        files = files_of(samples)
        names = [f"{part}/{key}" for key in samples.keys] if len(self.parts) > 1 else list(samples.keys)
        return [str(each.path.absolute()) for each in files] if files else names


def labelled(run: SavedRun, words: Sequence[str], split: Split | None, size: Size | None = None) -> Labelled:
    """The part of the run's own data, its validation part where none is said; or the other set that the words name.

    words: data=… and data.OPTION=…. Of another set all pictures are scored, or a part if one is said. size: what
    they are prepared at, where that is not what the run says. Raises ConfigError or DataError in one line.
    """
    is_own = all(_key(word) in _KEEPING for word in words)
    config = replace((_own if is_own else _other)(run, words, size), said=frozenset(map(_key, words)))
    source = open_source(config)
    _check_channels(run, config, source)
    settings = config.settings
    taken, _ = limited(source, settings.limit_train, settings.limit_val, settings.limit_test)
    parts = {
        part: samples
        for part, samples in {"train": taken.train, "val": taken.val, "test": taken.test}.items()
        if samples is not None
    }
    if not is_own and source.val is source.train:  # nothing was held out of it
        del parts["val"]
    wanted = (split or "val",) if is_own else (split,) if split else PARTS
    if split and split not in parts:
        has = " and ".join(f"split={part}" for part in parts)
        raise ConfigError(f"split={split}: {_told(config)} has no such part. It has {has}.")
    chosen = {part: parts[part] for part in wanted if part in parts}
    match = match_classes(source.classes, run.classes)
    if len(match.missing) == len(run.classes):
        raise DataError(
            f"{_told(config)} has no class of {run.path}, by name: it has {some(source.classes)}, and the run knows "
            f"{some(run.classes)}."
        )
    found = Labelled(
        name=str(wanted[0]) if is_own else _name(config, split),
        is_own=is_own,
        has_trained_on="train" in chosen and (is_own or _place(config) == _own_place(run)),
        place=str(_place(config)),
        config=config,
        source=source,
        parts=chosen,
        match=match,
        training_labels=None,
        notes=_other_notes(source) if not is_own else _own_notes(run, source) if size is None else (),
    )
    return replace(found, training_labels=found.known(parts["train"].labels)) if is_own else found


def are_the_same(one: Labelled, other: Labelled, in_words: Callable[[Tensor, Sequence[str]], list[str]]) -> bool:
    """Whether two runs are scored on the same images, in the same order, whatever each makes of them.

    in_words: what the labels of each image come to, whatever the order of the classes.
    """
    words = [in_words(each.labels, each.source.classes) for each in (one, other)]
    if one.paths != other.paths or words[0] != words[1]:
        return False
    if any(files_of(samples) for samples in one.parts.values()):
        return True
    said = [_meaning(each.config.parts["data"].options) for each in (one, other)]  # what draws or finds the images
    return one.config.parts["data"].name == other.config.parts["data"].name and said[0] == said[1]


def _own_notes(run: SavedRun, source: Source) -> tuple[str, ...]:
    """A word where the data are no longer those of the training."""
    trained_on = {} if run.folder is None else read_json(run.folder.about)
    if trained_on.get("fingerprint") in (None, fingerprint(source)):
        return ()
    return (f"The data have changed since {run.path} was trained: these are not quite the images that it reported on.",)


def _other_notes(source: Source) -> tuple[str, ...]:
    """What was left out of the set, and how it was read.

    The last note says how it is divided, and before it that of files how they are resized: as the run's were.
    """
    return source.notes[: -2 if source.frame else -1]


def _meaning(options: Mapping[str, Any]) -> dict[str, Any]:
    preparing = {*_PREPARED, *_DIVIDED["single"], *(key.removeprefix("data.") for key in _KEEPING)}
    return {key: value for key, value in options.items() if key not in preparing}


def _own(run: SavedRun, words: Sequence[str], size: Size | None) -> Config:
    """The run's data as it was trained with them."""
    stored = _stored_data(run)
    name = str(stored.get("name"))
    prepared = _as_prepared(run, name, size or run.preprocessing.prepared_size)
    return _checked(run, {**stored, **_said(run, name, words), **prepared}, {})


def _other(run: SavedRun, words: Sequence[str], size: Size | None) -> Config:
    """Another set, prepared as the run's pictures were, and not limited in number as those of the training may be."""
    stored, keys = _stored_data(run), [_key(word) for word in words]
    name = next((word.partition("=")[2] for word in reversed(words) if _key(word) == "data"), None)
    if name is None:
        is_folder = "data.root" in keys and run.task.labels == "one"  # a folder says one label of each picture
        name = "table" if "data.file" in keys else "folder" if is_folder else str(stored.get("name"))
    if refused := [key for key in keys if key.removeprefix("data.") in _PREPARED]:
        raise ConfigError(f"{', '.join(refused)}: pictures are prepared as those of {run.path} were. Leave it out.")
    divided = _DIVIDED[run.task.name]
    kept = {key: value for key, value in stored.items() if key not in divided} if name == stored.get("name") else {}
    if "data.file" in keys:
        kept.pop("root", None)  # paths in another table start at its own folder
    prepared = _as_prepared(run, name, size or run.preprocessing.prepared_size)
    whole = {"val": "none"} if "val" in _options(run, name) else {}
    data = {**kept, "name": name, **whole, **_said(run, name, words), **prepared}
    return _checked(run, data, {"limit_train": None, "limit_val": None, "limit_test": None})


def _checked(run: SavedRun, data: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    return replace(run, stored={**run.stored, **settings, "data": data}).config(["task", "data"])


def _stored_data(run: SavedRun) -> dict[str, Any]:
    stored = run.stored.get("data")
    return dict(stored) if isinstance(stored, Mapping) else {}


def _said(run: SavedRun, name: str, words: Sequence[str]) -> dict[str, Any]:
    """The options in the words, as the part's types. What is wrong with them the check of the config will tell."""
    options, said = _options(run, name), dict[str, Any]()
    for word in words:
        key, _, value = word.partition("=")
        option = key.removeprefix("data.")
        if key == "data":
            continue
        try:
            said[option] = typed(value, options[option].annotation) if option in options else value
        except ValueError:
            said[option] = value
    return said


def _as_prepared(run: SavedRun, name: str, size: Size) -> dict[str, Any]:
    """The options of a data part that say how pictures are prepared, as those of the run were; only those it has."""
    preprocessing: Preprocessing = run.preprocessing
    is_given, figures = preprocessing.normalise == "given", preprocessing.normalisation
    kept = Size(*map(max, size, preprocessing.size))
    values = {
        "size": preprocessing.size.plain,
        "prepare": kept.plain,
        "resize": preprocessing.frame.resize,
        "fit": preprocessing.frame.fit,
        "crop_share": preprocessing.frame.crop_share,
        "grey": preprocessing.frame.grey,
        "denoise": preprocessing.denoise,
        "normalise": "auto" if is_given else preprocessing.normalise,
        "mean": list(figures.mean) if is_given else None,
        "std": list(figures.std) if is_given else None,
    }
    return {key: value for key, value in values.items() if key in _options(run, name)}


def _options(run: SavedRun, name: str) -> dict[str, Option]:
    """What the data part takes; nothing if there is no such part."""
    parts = entries("data", run.config([]).settings.plugins)
    return parts[name].options if name in parts else {}


def _check_channels(run: SavedRun, config: Config, source: Source) -> None:
    words = {1: "grey", 3: "in colour"}
    theirs, ours = source.channels, run.preprocessing.channels
    if theirs != ours:
        raise DataError(
            f"{_told(config)}: its images are {words[theirs]}, and {run.path} was trained on images {words[ours]}."
        )


def _told(config: Config) -> str:
    """The set, for a person: 'data=folder root=photos'."""
    data = config.parts["data"]
    place = data.options.get("file") or data.options.get("root")
    return f"data={data.name}" + (f" ({place})" if place else "")


def _name(config: Config, split: Split | None) -> str:
    """A name for a folder of results: never that of a part of the run's own data."""
    path = _place(config)
    name = path.stem if path.is_file() else path.name or config.parts["data"].name
    if name in PARTS:
        name = f"{path.parent.name}-{name}"
    return f"{name}-{split}" if split else name


def _place(config: Config) -> Path:
    """Where the set lies; its name where it lies nowhere."""
    data = config.parts["data"]
    return _path_in(data.options) or Path(data.name)


def _own_place(run: SavedRun) -> Path | None:
    """Where the run's own data lie; None where they lie nowhere, or that is not known."""
    return _path_in(_stored_data(run))


def _path_in(options: Mapping[str, Any]) -> Path | None:
    place = options.get("file") or options.get("root")
    return Path(str(place)).expanduser().resolve() if place else None


def _key(word: str) -> str:
    return word.partition("=")[0]
