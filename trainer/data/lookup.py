"""Where the files lie that a table names: below one folder, with the ending that the table leaves out."""

import os
import shlex
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from trainer.data.formats import SUFFIXES
from trainer.errors import DataError

_SAMPLE = 100
"""Paths of a column that are tried, to find out what it holds."""
_DEPTH = 2
_MOST_FOLDERS = 300
"""How deep, and in how many folders, files are looked for that do not lie where paths start."""


class Lookup:
    """Finds files below base by what a table calls them.

    ending: added to what does not end in it. None: a name that is no file is looked for among the images whose names
    are the same but for the ending.
    """

    def __init__(self, base: Path, ending: str | None) -> None:
        self.base = base
        self.ending = f".{ending.lstrip('.')}" if ending else None
        self.folders: Sequence[str] = ("",)
        """Where paths start, below base."""
        self._by_stem: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str) -> list[str]:
        """The paths below base of all files that the name may mean, in the folders where paths start."""
        return [found for folder in self.folders for found in self._in(folder, name)]

    def settle(self, names: Sequence[str]) -> None:
        """Lets paths start in the folders below that hold such files, if none of them is found where they start now.

        Raises DataError if a name is found in two of them.
        """
        asked = sample(names)
        if any(map(self.find, asked)):
            return
        places = {name: self.below(name) for name in asked}
        if twice := next((name for name, folders in places.items() if len(folders) > 1), None):
            raise DataError(
                f"data.root: {twice} lies in {' and in '.join(places[twice])} below {self.base}. Say where paths "
                f"start: {shlex.quote(f'data.root={self.base / places[twice][0]}')}"
            )
        self.folders = sorted({folder for folders in places.values() for folder in folders}) or self.folders

    def beside(self) -> "Lookup":
        """The one of the folder around base."""
        return Lookup(self.base.resolve().parent, self.ending)

    def below(self, name: str) -> list[str]:
        """The folders below base, two deep at most, that hold a file of this name; what leads to one counts once."""
        held = [(folder, self.base / paths[0]) for folder in self._folders if (paths := self._in(folder, name))]
        first: dict[str, str] = {}
        for folder, path in sorted(held, key=lambda each: each[1].is_symlink()):  # what predict has sorted are links
            first.setdefault(os.path.realpath(path), folder)
        return [folder for folder, _ in held if folder in first.values()]

    @cached_property
    def _folders(self) -> list[str]:
        return list(islice(_folders_below(self.base), _MOST_FOLDERS))

    def _in(self, folder: str, name: str) -> list[str]:
        """As find, in one folder: the path as it is written, else with slashes for backslashes."""
        if not name or "\0" in name:
            return []
        spellings = dict.fromkeys((name, name.replace("\\", "/")))
        paths = [os.path.normpath(Path(folder, each)) for each in spellings]
        return next((found for path in paths if (found := self._with_ending(path))), [])

    def _with_ending(self, path: str) -> list[str]:
        if self.ending and not path.lower().endswith(self.ending.lower()):
            path += self.ending
        if _is_file(self.base / path):
            return [path]
        if self.ending:
            return []
        parent, stem = os.path.split(path)
        return [str(Path(parent, name)) for name in self._listed(self.base / parent).get(stem, [])]

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        """The images of a folder by their names without the ending."""
        if folder not in self._by_stem:
            by_stem: dict[str, list[str]] = defaultdict(list)
            for entry in sorted(_entries(folder), key=lambda entry: entry.name):
                path = Path(entry.path)
                if path.suffix.lower() in SUFFIXES and entry.is_file():
                    by_stem[path.stem].append(path.name)
            self._by_stem[folder] = by_stem
        return self._by_stem[folder]


def sample(names: Sequence[str]) -> list[str]:
    """At most a hundred of them, from first to last, without empty ones."""
    said = [name for name in names if name]
    return said[:: -(-len(said) // _SAMPLE) or 1]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, without hidden entries; nothing where it may not be listed."""
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not entry.name.startswith(".")]
    except OSError:
        return []


def _folders_below(base: Path) -> Iterator[str]:
    level = [""]
    for _ in range(_DEPTH):
        level = [
            str(Path(above, entry.name))
            for above in level
            for entry in sorted(_entries(base / above), key=lambda entry: entry.name)
            if entry.is_dir()
        ]
        yield from level
