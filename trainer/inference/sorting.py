"""Pictures sorted into a folder for each label: as links, or as copies; each where its answer says, and never over a
file."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from trainer.data.formats import Packed
from trainer.errors import DataError, OutputError
from trainer.inference.predictions import Prediction
from trainer.records.folder import cannot_write

UNREADABLE = "unreadable"
_FORBIDDEN = '/\\:*?"<>|'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names of devices on systems that the folder may be carried to."""
_LONGEST = 100


def folder_names(classes: Sequence[str], no_label: str) -> dict[str, str]:
    """The folder of each class: its name where that is a safe one, else made safe; no two share one, in any spelling.

    no_label: the folder of pictures without any, `unsure` say. It and `unreadable` are taken already.
    """
    taken = {no_label, UNREADABLE}
    names = {}
    for name in sorted(classes, key=lambda each: _safe(each) != each):  # the plain ones keep their names
        candidates = (_safe(name) if number == 1 else f"{_safe(name)}-{number}" for number in count(1))
        names[name] = next(each for each in candidates if each.casefold() not in taken)
        taken.add(names[name].casefold())
    return names


def _safe(name: str) -> str:
    plain = "".join("_" if sign in _FORBIDDEN or not sign.isprintable() else sign for sign in name)
    while len(plain.encode(errors="replace")) > _LONGEST:
        plain = plain[:-1]
    plain = plain.rstrip(" .").lstrip(" ")
    return f"_{plain}" if not plain or plain.startswith((".", "-")) or plain.casefold() in _RESERVED else plain


def check_no_copies(folder: Path) -> None:
    """Raises OutputError if a folder in it holds a file: it may be an earlier copy of what is copied elsewhere now."""
    there = next((path for path in _sorted_in(folder) if not path.is_symlink()), None)
    if there is not None:
        raise OutputError(
            f"sort: {there} is there already, so that copies of one picture could lie in two classes. "
            f"Empty {folder}, or choose another folder."
        )


def _sorted_in(folder: Path) -> Iterator[Path]:
    """What lies in the folders in it. Raises OutputError if it is no folder, or may not be read."""
    try:
        for kind in sorted(folder.iterdir()) if folder.exists() else []:
            if kind.is_dir() and not kind.is_symlink():
                yield from (path for path in sorted(kind.iterdir()) if not path.name.startswith("."))
    except OSError as error:
        raise cannot_write(folder, error) from error


class Sorter:
    """Puts pictures into folder/CLASS/ for each label, folder/unreadable/, and one for those without a label."""

    def __init__(self, folder: Path, classes: Sequence[str], no_label: str, *, copies: bool) -> None:
        self._folder = folder
        self._no_label = no_label
        self._names = folder_names(classes, no_label)
        self._copies = copies
        self._links: dict[str, list[Path]] = defaultdict(list)
        """By what they lead to, also those of an earlier sort: one goes when its picture is sorted elsewhere."""
        for path in _sorted_in(folder):
            if path.is_symlink():
                self._links[str(path.readlink())].append(path)
        self._placed: dict[str, set[Path]] = defaultdict(set)
        self._numbers: dict[Path, int] = {}
        """The last number that a name which several pictures share was given."""

    def put(self, prediction: Prediction) -> None:
        """Adds a picture. One out of an archive is always a copy; for one that is not there is nothing to add.

        Raises OutputError.
        """
        picture, said = prediction.found.picture, prediction.said
        if isinstance(picture, DataError) or (isinstance(picture, Path) and not os.path.lexists(picture)):
            return
        labels = () if said is None else said.labels
        others = self._no_label if said else UNREADABLE
        targets = [self._folder / name for name in [self._names[label] for label in labels] or [others]]
        for target in targets:
            try:
                target.mkdir(parents=True, exist_ok=True)
                if isinstance(picture, Packed):
                    placed = self._copy(target / Path(picture.name).name, picture)
                elif self._copies:
                    placed = self._copy(target / picture.name, picture)
                else:
                    placed = self._link(target, picture, targets)
            except OSError as error:
                raise cannot_write(target, error) from error
            self._placed[target.name].update(placed)

    def summary(self) -> str:
        """'sorted into FOLDER as links: ants 39, bees 11, unreadable 1 (copy=true copies)'"""
        kinds = sorted(filter(self._placed.get, self._placed), key=self._classes_first)
        counts = ", ".join(f"{kind} {len(self._placed[kind]):,}" for kind in kinds)
        hint = "" if self._copies else " (copy=true copies)"
        return f"sorted into {self._folder} as {'copies' if self._copies else 'links'}: {counts or 'nothing'}{hint}"

    def _classes_first(self, kind: str) -> tuple[bool, str]:
        return kind in (self._no_label, UNREADABLE), kind

    def _link(self, target: Path, picture: Path, targets: Sequence[Path]) -> list[Path]:
        """The link in the target. Other links to this picture stay in the targets alone."""
        leads_to = str(picture.absolute())
        for path in self._links[leads_to]:
            if path.parent not in targets:
                path.unlink()
        kept = [path for path in self._links[leads_to] if path.parent in targets]
        there = [path for path in kept if path.parent == target]
        placed = there or [self._new_link(target / picture.name, leads_to)]
        self._links[leads_to] = kept if there else kept + placed
        return placed

    def _new_link(self, wanted: Path, leads_to: str) -> Path:
        for path in self._free(wanted):
            with suppress(FileExistsError):
                path.symlink_to(leads_to)
                return path
        raise AssertionError("a number is always free")

    def _copy(self, wanted: Path, picture: Path | Packed) -> list[Path]:
        """The copy; none of what cannot be read: the answer says why."""
        try:
            source = picture.open("rb")
        except OSError:
            return []
        with source:
            return [self._write(wanted, source)]

    def _write(self, wanted: Path, source: BinaryIO) -> Path:
        """A new file with the content; whole or not there."""
        for path in self._free(wanted):
            try:
                file = path.open("xb")
            except FileExistsError:
                continue
            try:
                with file:
                    shutil.copyfileobj(source, file)
            except BaseException:
                path.unlink()
                raise
            return path
        raise AssertionError("a number is always free")

    def _free(self, wanted: Path) -> Iterator[Path]:
        """The path, then with a number behind its name, and so on, from the last that was given on."""
        if wanted not in self._numbers:
            yield wanted
        for number in count(self._numbers.get(wanted, 1) + 1):
            self._numbers[wanted] = number
            yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
