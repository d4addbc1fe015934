"""Several runs that answer as one, by the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.errors import ConfigError, some
from trainer.inference.classes import match_classes


@dataclass(frozen=True)
class Ensemble:
    """How the answers of some members become one answer."""

    classes: tuple[str, ...]
    """In the order of the first member."""
    columns: tuple[NDArray[np.int64], ...]
    """For each member, (C,): where it has the probability of each class."""

    def mean(self, members: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """(N, C), in the order of the classes, of each member's (N, C) in its own order."""
        first, *others = (each[:, columns] for each, columns in zip(members, self.columns, strict=True))
        total = first.astype(np.float64)
        for each in others:
            total += each
        return np.asarray(total / len(members))


def ensemble(members: Sequence[tuple[str, Sequence[str]]]) -> Ensemble:
    """Of runs that know the same classes, in any order. members: the name and the classes of each.

    Raises ConfigError with a line for each member whose classes are not those of the first.
    """
    first, classes = members[0]
    matches = [(name, match_classes(classes, theirs)) for name, theirs in members]
    errors = []
    for name, match in matches:
        lacks = [f"it does not know {some(match.unknown)}"] if match.unknown else []
        more = [f"only it knows {some(match.missing)}"] if match.missing else []
        if lacks or more:
            errors.append(
                f"{name} cannot be in an ensemble with {first}: {' and '.join(lacks + more)}. Members know the same "
                f"classes, by name and in any order: leave it out, or train it on the classes of {first}."
            )
    if errors:
        raise ConfigError("\n".join(errors))
    return Ensemble(tuple(classes), tuple(match.places for _, match in matches))
