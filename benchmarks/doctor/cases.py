"""The runs: grounds on which a training is sound, and the faults that are planted there, one at a time."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.doctor.drawn import Planting, Wanted

Half = Literal["tuning", "held out"]
COMMON = ("preset=none", "report=false", "device=cpu", "precision=fp32", "log_every=5", "batch_size=32", "epochs=12")
"""Said first to every run."""


@dataclass(frozen=True)
class Ground:
    """A training that is sound as it stands."""

    name: str
    half: Half
    words: tuple[str, ...]
    rate: float
    drawn: str | None = None
    """The set in drawn.SETS that it learns; None where words say the data."""
    train: int = 400
    """Pictures that are drawn to train on."""
    needs: str | None = None
    """The variable of the environment that names its folder of data."""
    weights_of: str | None = None
    """The ground whose run it starts from."""


@dataclass(frozen=True)
class Fault:
    """What is said for it, or drawn, and the rules that name it."""

    name: str
    rules: tuple[str, ...]
    """Of the doctor."""
    grounds: tuple[str, ...]
    """Where it is planted: where it does harm, and no other fault comes with it."""
    words: Callable[[Ground], Sequence[str]] = lambda ground: ()
    planting: Planting | None = None
    before: tuple[str, ...] = ()
    """The rules of `check` that name it, of a fault that the records of a run do not show for certain."""


@dataclass(frozen=True)
class Case:
    """One run."""

    ground: Ground
    seed: int
    fault: Fault | None = None
    kind: str = ""
    """What kind of sound run it is, where it has no fault."""
    words: tuple[str, ...] = ()
    """Said last."""
    source: "Case | None" = None
    """The run whose weights it starts from."""

    @property
    def pictures(self) -> Wanted | None:
        if self.ground.drawn is None:
            return None
        planting = self.fault.planting if self.fault else None
        return Wanted(self.ground.drawn, self.seed, planting, self.ground.train)

    @property
    def all_words(self) -> tuple[str, ...]:
        planted = (*(self.fault.words(self.ground) if self.fault else ()), *self.words)
        chosen = {word.split("=")[0] for word in planted}  # aug=none: what the ground says of aug and its options goes
        kept = [word for word in self.ground.words if re.split(r"[.=]", word)[0] not in chosen]
        return (*COMMON, *kept, f"optim.lr={self.ground.rate:g}", f"seed={self.seed}", *planted)

    @property
    def name(self) -> str:
        """Of its folder: another one for other words."""
        said = f"{self.pictures} {self.all_words} {self.source.name if self.source else ''}"
        what = self.fault.name if self.fault else f"sound {self.kind}"
        plain = "-".join(
            f"{what} {self.ground.name} {self.seed}".replace("/", " ").replace("%", " ").replace(",", " ").split()
        )
        return f"{plain}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
