"""What is said of a picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a picture shows: the name of the likeliest class, its probability, and those of all classes by name.

    Where a picture may have several labels, `name` is all that are answered, or 'no label'.
    """

    name: str
    probability: float
    """Of the likeliest class."""
    probabilities: dict[str, float]
    labels: tuple[str, ...]
    """The classes that are answered, likeliest first: one, or where there may be several, any number."""

    def top(self, count: int) -> list[tuple[str, float]]:
        """The likeliest classes with their probabilities, best first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count]
