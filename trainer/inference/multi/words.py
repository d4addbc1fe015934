"""Several labels as one cell of a table: cat|dog, and ?bird for one that is not known."""

import re
from collections.abc import Iterable, Sequence

from torch import Tensor

from trainer.data.listed import UNKNOWN, parts_in, read

SEPARATOR = "|"


def joined(names: Iterable[str]) -> str:
    r"""The names with | between them. In a name \ stands before |, \ and a ? that it begins with."""
    return SEPARATOR.join(map(_escaped, names))


def labels_in_words(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """(N,) cells, in the order of the names: those that an image has, and with a ? those of which that is unknown."""
    places = sorted(range(len(classes)), key=classes.__getitem__)
    words = {1: list(map(_escaped, classes)), -1: [UNKNOWN + _escaped(name) for name in classes]}
    return [SEPARATOR.join(words[row[place]][place] for place in places if row[place]) for row in labels.tolist()]


def split(cell: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names in a cell, and those that stand there as unknown."""
    names = [read(part, SEPARATOR) for part in parts_in(cell, SEPARATOR)]
    return frozenset(name for name, known in names if known), frozenset(name for name, known in names if not known)


def _escaped(name: str) -> str:
    return re.sub(r"[|\\]|^\?", lambda found: f"\\{found[0]}", name)
