"""Which folders of a set are its parts and which its classes: read where that is plain, refused where it is not."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.data.files import names as few
from trainer.data.hints import MOST, Folder, classes_in, counted, hint, name_label
from trainer.data.part_names import most_plain, parts_of, says_little, says_nothing, without_part
from trainer.errors import ConfigError, DataError, did_you_mean

PARTS = ("train", "val", "test")
Labels = Literal["auto", "outer", "inner", "name"]
"""Where a picture's class stands: in the folder below the part, in the one right around it, in its own name."""

_ASKED = 8
"""Folders that are asked whether they look alike: parts are never many."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of a set lie: in folders around the classes, or in `inside`, folders below each class.

    folders: the folder of each part; that of 'train' may be the set's own, around other parts. inside: name -> part.
    apart: folders that are neither part nor class.
    """

    folders: dict[str, Path]
    inside: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    apart: tuple[Path, ...] = ()


def find_layout(base: Path, names: Sequence[str], parts: str | dict[str, str], labels: Labels) -> Layout:
    """The layout of the set whose folders have these names.

    parts: 'auto', 'none' (each folder is a class), or the folder of each part. Raises DataError, with the words that
    would read it, where parts may have been taken for classes, and ConfigError if parts or folders are not there.
    """
    if isinstance(parts, dict):
        return _said(base, names, parts, labels)
    if parts == "none":
        return Layout({"train": base})
    folders = {name: Folder(base / name) for name in names}
    part_of = {name: part for name, part in parts_of(names).items() if folders[name].holds_pictures}
    train = _choose(base, "train", folders, part_of, labels)
    if train and _tells_classes(folders[train], labels):
        return _with_train(base, train, folders, part_of, labels)
    others = [name for name in names if name not in part_of]
    with_pictures = [name for name in others if folders[name].holds_pictures] if part_of else others
    if not part_of or (set(part_of.values()) == {"train"} and not all(map(says_little, with_pictures))):
        notes = [f"{base / name}: taken for a class, beside {few(others)}." for name in part_of]
        return _divided_below(base, folders, labels) or _checked(
            base, Layout({"train": base}, {}, tuple(notes)), labels
        )
    if train:
        raise DataError(_flat(base, base / train, list(part_of)))
    return _around_parts(base, folders, part_of, with_pictures)


def in_words(parts: dict[str, str]) -> str:
    """data.parts as a shell takes it."""
    inside = ", ".join(f"{part}: {_quoted(name)}" for part, name in parts.items())
    return shlex.quote(f"data.parts={{{inside}}}")


def _said(base: Path, names: Sequence[str], parts: dict[str, str], labels: Labels) -> Layout:
    if unknown := [part for part in parts if part not in PARTS]:
        raise ConfigError(f"data.parts: '{unknown[0]}' is no part of a set. There is train, val and test.")
    if "train" not in parts:
        raise ConfigError("data.parts: it names no training part. Say which folder is, or '.' for data.root itself.")
    for part, name in parts.items():
        if not (base / name).is_dir():
            raise DataError(
                f"data.parts: there is no folder {base / name} for {part}.{did_you_mean(name, names)} "
                f"{base} has {', '.join(names) or 'none'}."
            )
    folders = {part: base if name == "." else base / name for part, name in parts.items()}
    mute = [part for part, path in folders.items() if part != "train" and not _tells_classes(Folder(path), labels)]
    notes = tuple(_mute(folders[part], part) for part in mute)
    told = {part: path for part, path in folders.items() if part not in mute}
    return Layout(told, {}, notes, tuple(folders[part] for part in mute))


def _mute(path: Path, part: str) -> str:
    """The line on a part whose pictures nothing tells the classes of."""
    return f"{path} has no class folders, so there is nothing to {'test on' if part == 'test' else 'validate on'}."


def _choose(base: Path, part: str, folders: dict[str, Folder], part_of: dict[str, str], labels: Labels) -> str | None:
    """The name of the part's folder: the one with classes in it, then the one that says it most plainly."""
    names = [name for name in part_of if part_of[name] == part]
    names = [name for name in names if _tells_classes(folders[name], labels)] or names
    names = most_plain(names)
    if len(names) > 1:
        first, second = names[0], names[1]
        others = {found: name for name, found in part_of.items() if found != part}
        words = in_words(dict(sorted({**others, part: first}.items(), key=lambda each: PARTS.index(each[0]))))
        raise DataError(
            f"data.root: {base / first} and {base / second} both look like the {part} part. Rename one of them, or say "
            f"which it is: {words}. If they are classes: data.parts=none"
        )
    return names[0] if names else None


def _tells_classes(folder: Folder, labels: Labels) -> bool:
    """Whether a part's folder may tell the classes of its pictures."""
    if labels == "name":
        return any(name_label(Path(name).stem) for name in folder.pictures) or bool(folder.folders)
    return bool(folder.folders)


def _with_train(base: Path, train: str, folders: dict[str, Folder], part_of: dict[str, str], labels: Labels) -> Layout:
    """The layout where a folder of class folders says that it is for training."""
    used, notes = {"train": train}, []
    for part in ("val", "test"):
        name = _choose(base, part, folders, part_of, labels)
        if name is None:
            continue
        used[part] = name
        if not _tells_classes(folders[name], labels):
            notes.append(_mute(base / name, part))
    _check_alone(base, train, folders, part_of)
    mistaken = parts_of(folders[train].folders)
    if "train" in mistaken.values() and len(mistaken) == len(folders[train].folders) > 1:
        raise DataError(f"data.root: {base / train} has parts itself, {few(mistaken)}. Say data.root={base / train}")
    if beside := [name for name in folders if name not in used.values()]:
        notes.append(f"{base}: left out {len(beside)} folders beside {train}: {few(beside)}.")
    found = {part: base / name for part, name in used.items() if _tells_classes(folders[name], labels)}
    return _checked(base / train, Layout(found, {}, tuple(notes)), labels)


def _check_alone(base: Path, train: str, folders: dict[str, Folder], part_of: dict[str, str]) -> None:
    """Raises DataError where a folder called train may be one class of several: a vehicle, with kinds of it inside."""
    inside = folders[train].folders
    beside = [name for name in folders if name not in part_of and not says_little(name)]
    beside = [name for name in beside if folders[name].holds_pictures]
    if (
        beside
        and set(part_of.values()) == {"train"}
        and not any({*folders[name].folders} & {*inside} for name in beside)
    ):
        raise DataError(
            f"data.root: {base} has {few([train, *beside])}. If {train} is the training part, with the classes "
            f"{few(inside)}, say {in_words({'train': train})}; if it is a class as the others are, data.parts=none"
        )


def _around_parts(base: Path, folders: dict[str, Folder], part_of: dict[str, str], others: list[str]) -> Layout:
    """The layout where no folder says that it is for training: the classes may lie around the other parts."""
    inside = {name for part in part_of for name in folders[part].folders}
    if len(others) > 1 and inside and inside <= set(others) and len(set(part_of.values())) == len(part_of):
        note = f"{base}: {few(others)} are for training, beside {few(part_of)}."
        return Layout({"train": base, **{part: base / name for name, part in part_of.items()}}, {}, (note,))
    first = next(iter(part_of))
    said = {part_of[name]: name for name in part_of}
    if len(others) > 1:
        raise DataError(
            f"data.root: {base} has {few(part_of)} beside {few(others)}. If {first} is the {part_of[first]} part, "
            f"say {in_words({'train': '.', **said})}; if it is a class, say data.parts=none"
        )
    train, *rest = [*others, *sorted(part_of, key=lambda name: PARTS.index(part_of[name]))]
    guess = {"train": train, **{part_of[name]: name for name in rest}}
    raise DataError(
        f"data.root: {base} has {few(folders)} but no train/CLASS folders. Add them, or say which folder is which "
        f"part, as in {in_words(guess)}. If they are classes: data.parts=none"
    )


def _divided_below(base: Path, folders: dict[str, Folder], labels: Labels) -> Layout | None:
    """The layout where every class has the parts below it, CLASS/train and CLASS/test; None where that is not so."""
    asked = list(folders.values())
    if labels not in ("auto", "outer") or len(asked) < 2 or not asked[0].folders:
        return None
    inside: dict[str, str] = {}
    for folder in asked:
        found = parts_of(folder.folders)
        if "train" not in found.values() or len(found) < 2 or folder.pictures:
            return None
        inside |= found
    deeper = [
        set(Folder(each.path / name).folders) for each in asked for name in each.folders if inside.get(name) == "train"
    ]
    if labels == "auto" and (len(set.intersection(*deeper)) > 1 or any(map(says_nothing, folders))):
        raise DataError(
            f"data.root: {base} has {few(inside)} below each of {few(folders)}. If these are sets of their own, say "
            f"which: data.root={asked[0].path}. If they are the classes: data.label=outer"
        )
    note = f"{base}: the parts lie below the classes, in {few(f'CLASS/{name}' for name in inside)}."
    return Layout({"train": base}, inside, (note,))


def _checked(path: Path, layout: Layout, labels: Labels) -> Layout:
    """The layout, if the class folders of its training part, in path, are not likely to be something else."""
    if labels != "auto":
        return layout
    every = [Folder(path / name) for name in Folder(path).folders]
    asked = [folder for folder in every[: 2 * _ASKED] if folder.holds_pictures][:_ASKED]
    if len(asked) < 2:
        return layout
    names = [folder.path.name for folder in asked]
    _check_named(path, [folder.path.name for folder in every])
    common = sorted(set.intersection(*[set(folder.folders) for folder in asked]))
    if len(common) > 1 and not any(folder.pictures for folder in asked):
        raise DataError(
            f"data.root: {path} has the same folders below each of {few(folder.path.name for folder in every)}: "
            f"{few(common)}. If these are the classes, say data.label=inner; if the outer ones are, data.label=outer; "
            f"if the outer ones are parts, {in_words({'train': names[0], 'val': names[1]})}"
        )
    spoken = [classes_in(folder.pictures) for folder in asked]
    total = sum(spoken, Counter[str]())
    shared = set.intersection(*[set(each) for each in spoken])
    if len(shared) > 1 and sum(total[name] for name in shared) > MOST * total.total():
        raise DataError(
            f"data.root: in each of {few(names)} below {path} the files' names begin with {counted(total)}. If these "
            "are the classes, say data.label=name; if the folders are, data.label=outer"
        )
    if all(says_nothing(folder.path.name) for folder in every):
        raise DataError(
            f"data.root: the folders {few(names)} of {path} do not look like classes. If they are, say "
            f"data.label=outer.{hint(asked[0].path)}"
        )
    return layout


def _check_named(path: Path, names: Sequence[str]) -> None:
    """Raises DataError where each folder is a class and a part in one: cat_train, cat_test, dog_train, dog_test."""
    found = [without_part(name) for name in names]
    classes = {each[0] for each in found if each}
    named = {each for each in found if each}
    if (
        len(classes) > 1
        and None not in found
        and all((name, "train") in named for name in classes)
        and len(named) > len(classes)
    ):
        raise DataError(
            f"data.root: {path} has {few(names)}: these look like parts of the classes {few(sorted(classes))}. Put "
            f"them into folders train/{min(classes)} and the like. If they are the classes: data.label=outer"
        )


def _flat(base: Path, train: Path, parts: Sequence[str]) -> str:
    """The refusal of a training part without class folders."""
    told = hint(train) or (
        " Put its pictures into one folder a class, or list them with their labels in a table: data=table data.file=…"
    )
    words = f"{few(parts)} look like parts" if len(parts) > 1 else f"{parts[0]} looks like a part"
    return (
        f"data.root: {base} has no class folders: {words} of a set, and pictures lie flat in {train}, so no folder "
        f"says what they show.{told}; if these folders are the classes, data.parts=none"
    )


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w./-]+", name) else f'"{name}"'
