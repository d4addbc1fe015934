"""Several labels as one cell of a table: cat|dog, and ?bird for one that is not known."""

import re
from collections.abc import Iterable, Sequence

from torch import Tensor

SEPARATOR = "|"
_UNKNOWN = "?"
_PARTS = re.compile(r"\|((?:\\.|[^|\\])*)", re.DOTALL)


def joined(names: Iterable[str]) -> str:
    r"""The names with | between them. In a name \ stands before |, \ and a ? that it begins with."""
    return SEPARATOR.join(map(_escaped, names))


def labels_in_words(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """(N,) cells, in the order of the names: those that an image has, and with a ? those of which that is unknown."""
    places = sorted(range(len(classes)), key=classes.__getitem__)
    words = {1: list(map(_escaped, classes)), -1: [_UNKNOWN + _escaped(name) for name in classes]}
    return [SEPARATOR.join(words[row[place]][place] for place in places if row[place]) for row in labels.tolist()]


def split(cell: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names in a cell, and those that stand there as unknown."""
    parts = _PARTS.findall(SEPARATOR + cell) if cell else []
    unknown = [part for part in parts if part.startswith(_UNKNOWN)]
    shown = [part for part in parts if not part.startswith(_UNKNOWN)]
    return frozenset(map(_unescaped, shown)), frozenset(_unescaped(part[1:]) for part in unknown)


def _escaped(name: str) -> str:
    return re.sub(r"[|\\]|^\?", lambda found: f"\\{found[0]}", name)


def _unescaped(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)
