"""Pictures sorted into a folder for each answer: as links, or as copies; never beside those of an earlier sort."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count
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


def check_unsorted(folder: Path) -> None:
    """Raises OutputError if a folder in it holds anything: a picture of an earlier sort would lie in two classes."""
    there = next(chain.from_iterable(each.iterdir() for each in _folders_in(folder)), None)
    if there is not None:
        raise OutputError(
            f"sort: {there} is there already, and a picture that is sorted anew could lie in two classes. "
            f"Empty {folder}, or choose another folder."
        )


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.exists() else []
    except OSError as error:  # it is a file, or may not be read
        raise cannot_write(folder, error) from error


def _classes_first(counted: tuple[str, int]) -> tuple[bool, str]:
    return counted[0] in (UNSURE, UNREADABLE), counted[0]


class Sorter:
    """Puts pictures into folder/CLASS/, folder/unsure/ and folder/unreadable/."""

    def __init__(self, folder: Path, classes: Sequence[str], *, copies: bool) -> None:
        self._folder = folder
        self._names = folder_names(classes)
        self._copies = copies
        self._counts: Counter[str] = Counter()
        self._linked = False
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
                added = self._copy(target / Path(picture.name).name, picture)
            elif self._copies:
                added = self._copy(target / picture.name, picture)
            else:
                added = self._link(target, picture)
        except OSError as error:
            raise cannot_write(target, error) from error
        self._counts[kind] += added

    def summary(self) -> str:
        """'sorted into FOLDER as links: ants 39, bees 11, unreadable 1 (copy=true copies)'"""
        counts = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self._counts.items(), key=_classes_first))
        way = " as links" if self._linked else " as copies" if self._counts else ""
        hint = " (copy=true copies)" if self._linked else ""
        return f"sorted into {self._folder}{way}: {counts or 'nothing'}{hint}"

    def _link(self, target: Path, picture: Path) -> bool:
        """Whether there is a link more."""
        leads_to = str(picture.absolute())
        for path in self._free(target / picture.name):
            try:
                path.symlink_to(leads_to)
                self._linked = True
                return True
            except FileExistsError:
                if path.is_symlink() and str(path.readlink()) == leads_to:
                    return False  # of the same command, said before
        raise AssertionError("a number is always free")

    def _copy(self, wanted: Path, picture: Path | Packed) -> bool:
        """Whether there is a copy more."""
        try:
            source = picture.open("rb")
        except OSError:
            return False  # what cannot be read cannot be copied: the answer says why
        with source:
            self._write(wanted, source)
        return True

    def _write(self, wanted: Path, source: BinaryIO) -> None:
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
            return

    def _free(self, wanted: Path) -> Iterator[Path]:
        """The path, then with a number behind its name, and so on, from the last that was given on."""
        if wanted not in self._numbers:
            yield wanted
        for number in count(self._numbers.get(wanted, 1) + 1):
            self._numbers[wanted] = number
            yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
