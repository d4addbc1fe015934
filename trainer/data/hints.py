"""What lies in a folder, and what the names of the files there may say of their classes."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.data.files import names as few
from trainer.data.formats import SUFFIXES

MOST = 0.95
"""Share of the files whose names must say a class, for these to be taken for classes."""
_TABLES = (".csv", ".tsv")
_ANSWERS = (b"path,prediction,probability", b"path,label,prediction,probability")
"""How the tables begin that predict and evaluate write."""
_SAID_BY_CAMERAS = (
    "img dsc dscn dscf dcim pxl mvi pict p gopr cimg sam scan screenshot whatsapp frame video vid download unnamed "
    "image images photo photos picture pictures pic pics im"
)
_CAMERAS = frozenset(_SAID_BY_CAMERAS.split())
"""What cameras, phones and browsers begin a file's name with."""


@dataclass(frozen=True)
class Folder:
    """What lies directly in a folder, without hidden entries; nothing where it may not be listed."""

    path: Path

    @cached_property
    def _entries(self) -> tuple[list[str], list[str]]:
        try:
            with os.scandir(self.path) as found:
                entries = sorted((each.name, each.is_dir()) for each in found if not each.name.startswith("."))
        except OSError:
            return [], []
        folders = [name for name, is_folder in entries if is_folder and name != "__MACOSX"]
        return folders, [name for name, is_folder in entries if not is_folder]

    @property
    def folders(self) -> list[str]:
        return self._entries[0]

    @property
    def names(self) -> list[str]:
        return self._entries[1]

    @property
    def pictures(self) -> list[str]:
        return [name for name in self.names if _is_picture(name)]

    @cached_property
    def holds_pictures(self) -> bool:
        """At any depth, links followed but for those that lead around it."""
        entered = {*map(str, self.path.resolve().parents)}
        for place, folders, names in os.walk(self.path, followlinks=True):
            real = os.path.realpath(place)
            if real in entered:
                folders.clear()
                continue
            if any(map(_is_picture, names)):
                return True
            entered.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
        return False


def name_label(stem: str) -> str:
    """The class that a file's name, without its ending, says: cat of cat.0, 'cat (3)', cat-3 and 003_cat; '' for 3."""
    without = re.sub(r"[\W_]*\d+[\W_]*$", "", stem)
    if without == stem:
        without = re.sub(r"^[\W_]*\d+[\W_]+", "", stem)
    return without if re.search(r"[^\W\d_]", without) else ""


def hint(path: Path) -> str:
    """What may tell the classes of pictures that lie flat in a folder, with the words that would read it; or ''."""
    if found := classes_in(Folder(path).pictures):
        return f" Names of files there begin with {counted(found)}: if these are the classes, say data.label=name"
    for place in (path, path.parent):
        tables = [name for name in Folder(place).names if _may_label(place / name)]
        if tables:
            name = min(tables, key=lambda name: ("train" not in name.lower() and "label" not in name.lower(), name))
            words = shlex.join([f"data.file={place / name}", f"data.root={path}"])
            return f" {name} beside it may tell: data=table {words}"
    return ""


def _may_label(path: Path) -> bool:
    """Whether it is a table that labels could be in: none to hand in, and none of what a run has answered."""
    if not path.name.lower().endswith(_TABLES) or "submission" in path.name:
        return False
    try:
        with path.open("rb") as file:
            return not file.readline(100).startswith(_ANSWERS)
    except OSError:
        return True


def classes_in(files: Sequence[str]) -> Counter[str]:
    """The classes that the files' names may say, each with its files; none unless nearly all say one, and few do."""
    found = Counter(name_label(Path(name).stem) for name in files)
    unnamed = found.pop("", 0)
    few = 2 <= len(found) <= found.total() / 2 and found.total() >= MOST * (found.total() + unnamed)
    return Counter() if not few or any(re.split(r"[\W_]", name.lower())[0] in _CAMERAS for name in found) else found


def counted(found: Counter[str]) -> str:
    return few(f"{name} ({count})" for name, count in sorted(found.items()))


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
