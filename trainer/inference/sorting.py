"""Pictures sorted into a folder for each answer: as links, or as copies; each in one, and never over a file."""

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
from trainer.inference.predictions import UNSURE, Prediction
from trainer.records.folder import cannot_write

UNREADABLE = "unreadable"
_FORBIDDEN = '/\\:*?"<>|'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names of devices on systems that the folder may be carried to."""
_LONGEST = 100


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """The folder of each class: its name where that is a safe one, else made safe; no two share one, in any spelling.

    `unsure` and `unreadable` are taken already.
    """
    taken = {UNSURE, UNREADABLE}
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


def _classes_first(kind: str) -> tuple[bool, str]:
    return kind in (UNSURE, UNREADABLE), kind


class Sorter:
    """Puts pictures into folder/CLASS/, folder/unsure/ and folder/unreadable/."""

    def __init__(self, folder: Path, classes: Sequence[str], *, copies: bool) -> None:
        self._folder = folder
        self._names = folder_names(classes)
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
        picture, answer = prediction.found.picture, prediction.answer
        if isinstance(picture, DataError) or (isinstance(picture, Path) and not os.path.lexists(picture)):
            return
        if isinstance(answer, DataError):
            kind = UNREADABLE
        else:
            kind = self._names[answer.name] if prediction.is_sure else UNSURE
        target = self._folder / kind
        try:
            target.mkdir(parents=True, exist_ok=True)
            if isinstance(picture, Packed):
                placed = self._copy(target / Path(picture.name).name, picture)
            elif self._copies:
                placed = self._copy(target / picture.name, picture)
            else:
                placed = self._link(target, picture)
        except OSError as error:
            raise cannot_write(target, error) from error
        self._placed[kind].update(placed)

    def summary(self) -> str:
        """'sorted into FOLDER as links: ants 39, bees 11, unreadable 1 (copy=true copies)'"""
        kinds = sorted(filter(self._placed.get, self._placed), key=_classes_first)
        counts = ", ".join(f"{kind} {len(self._placed[kind]):,}" for kind in kinds)
        hint = "" if self._copies else " (copy=true copies)"
        return f"sorted into {self._folder} as {'copies' if self._copies else 'links'}: {counts or 'nothing'}{hint}"

    def _link(self, target: Path, picture: Path) -> list[Path]:
        """The link, which is the only one to this picture in the folder."""
        leads_to = str(picture.absolute())
        kept = [path for path in self._links[leads_to] if path.parent == target]
        for path in self._links[leads_to]:
            if path not in kept:
                path.unlink()
        self._links[leads_to] = kept or [self._new_link(target / picture.name, leads_to)]
        return self._links[leads_to]

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
