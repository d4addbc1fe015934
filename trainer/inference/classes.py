"""Classes are matched by name: where two lists of them differ, in order or otherwise, nothing is shifted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassMatch:
    """Where the classes of a set stand among those of a run."""

    places: NDArray[np.int64]
    """(C,), one for each class of the set: its place among the run's, -1 where the run does not know it."""
    unknown: tuple[str, ...]
    """The set's classes that the run does not know."""
    missing: tuple[str, ...]
    """The run's classes that the set does not have."""

    def labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels of the set, (N,), as those of the run; -1 where there is none, or none that the run knows.

        Of several labels a picture, (N, C), one column for each class of the run; -1 where the set does not have it.
        """
        if labels.ndim == 1:
            return np.asarray(np.append(self.places, -1)[labels])
        known = self.places >= 0
        found = np.full((len(labels), int(known.sum()) + len(self.missing)), -1, labels.dtype)
        found[:, self.places[known]] = labels[:, known]
        return found


def match_classes(classes: Sequence[str], known: Sequence[str]) -> ClassMatch:
    """The classes of a set among those that a run knows."""
    place_of = {name: place for place, name in enumerate(known)}
    return ClassMatch(
        places=np.array([place_of.get(name, -1) for name in classes], dtype=np.int64),
        unknown=tuple(name for name in classes if name not in place_of),
        missing=tuple(name for name in known if name not in set(classes)),
    )
