"""Which of several processes this is, by what torchrun leaves in the environment. Nothing here imports torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from trainer.errors import ConfigError
from trainer.system.threads import THREADS, cores


@dataclass(frozen=True)
class Place:
    """A process among those that train one run, and what of a batch is its own."""

    rank: int = 0
    """Its number among all of them."""
    size: int = 1
    """How many there are."""
    local_rank: int = 0
    """Its number among those of its machine."""
    local_size: int = 1
    """How many its machine has."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and tells."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    @property
    def of_machine(self) -> range:
        """The ranks of its machine, by torchrun's count and not by names, which two machines may share."""
        first = self.rank - self.local_rank
        return range(first, first + self.local_size)

    def share(self, count: int) -> slice:
        """The rows of a batch that it learns from, which lie side by side: ranks differ by one row at most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def even_share(self, count: int) -> list[int]:
        """The rows that it answers: as many on all ranks, so that the last ones may answer the last row once more."""
        each = -(-count // self.size)
        return [min(row, count - 1) for row in range(self.rank * each, (self.rank + 1) * each)]


ONE = Place()
"""Of a process that trains alone."""


def place_of(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that torchrun gives a process; the only one where it gives none. Raises ConfigError if it is half."""
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return ONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    try:
        return Place(*(int(environment[name]) for name in names))
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"RANK and WORLD_SIZE in the environment say that this is one of several processes, and {', '.join(names)} "
            "are not whole numbers all. Start them with torchrun, which sets them, or unset RANK and WORLD_SIZE."
        ) from error


def tells(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process tells what all meet: the first one, and each where nothing says which is."""
    try:
        return place_of(environment).is_first
    except ConfigError:
        return True


def share_the_machine(place: Place) -> None:
    """Gives each process its share of the cores, and keeps torch's advice to itself; before torch is imported.

    torchrun says one thread where nobody says how many. Advice would come once from each process.
    """
    if os.environ.pop(THREADS, "1") == "1":
        os.environ[THREADS] = str(max(1, cores() // place.local_size))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
