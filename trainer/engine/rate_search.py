"""The learning rate that suits a run, by what short trainings reach: successive halving over a grid of rates.

Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization". Nine rates are
trained for few steps each, the best three of them for four times as many. Where the best of a round is the lowest or
the highest of its rates, the next one beyond it is tried as well. Where nothing has been learnt yet, the three in the
middle go on; and where not in the second round either, for four times as many steps once more.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SHARE = 0.1
"""Of the run's steps, that a search takes at most."""
_FACTOR = 10**0.5
_GRID = range(-4, 5)
"""Places around the middle, each a factor away from the next."""
_KEPT = 3
_LONGER = 4
_BEYOND = (3, 2)
"""How many rates beyond the grid may be tried in each round; in one more, as many as in the last."""
_FEWEST_STEPS = 10
"""In the first round; fewer tell nothing."""
_LEARNT = 0.01
"""The share of the untrained loss by which the best must be lower."""
_FORGONE = 0.1
"""The share of the fall of the loss that is given up for a lower rate."""


@dataclass(frozen=True)
class Trial:
    """What one short training came to."""

    rate: float
    steps: int
    loss: float
    """Of validation: infinite if it diverged."""
    score: float


@dataclass(frozen=True)
class Search:
    """What all came to, in the order in which they were tried."""

    trials: Sequence[Trial]
    total_steps: int
    """Of the run."""
    untrained: float
    """The loss of validation before any step."""

    @property
    def steps(self) -> int:
        """That were taken in all."""
        return sum(trial.steps for trial in self.trials)

    @property
    def lowest(self) -> Trial:
        """The lowest loss of the longest trainings."""
        return min(self.round(self.lengths[-1]), key=lambda trial: trial.loss)

    @property
    def best(self) -> Trial:
        """The lowest rate that has learnt nearly as much: the longer a training, the lower the rate that suits it."""
        fall = self.untrained - self.lowest.loss
        enough = self.lowest.loss + (_FORGONE * max(0.0, fall) if math.isfinite(fall) else 0.0)
        return next(trial for trial in self.round(self.lengths[-1]) if trial.loss <= enough)

    @property
    def lengths(self) -> list[int]:
        """The steps of a training, round by round."""
        return sorted({trial.steps for trial in self.trials})

    @property
    def learns(self) -> bool:
        """Whether the best has learnt anything."""
        return self.lowest.loss < (1 - _LEARNT) * self.untrained

    def round(self, steps: int) -> list[Trial]:
        """Its trials, from the lowest rate to the highest."""
        return sorted((trial for trial in self.trials if trial.steps == steps), key=lambda trial: trial.rate)


def most_steps(total_steps: int) -> int:
    """That a search of two rounds takes for a run of so many: more than its share where that tells nothing."""
    short, long = _lengths(total_steps)
    return short * (len(_GRID) + _BEYOND[0]) + long * (_KEPT + _BEYOND[1])


def search(
    middle: float, total_steps: int, untrained: float, attempt: Callable[[float, int], Trial], *, patient: bool = True
) -> Search:
    """Tries rates around the middle. attempt: trains at this rate, for so many steps.

    patient: whether there is one round more where two have learnt nothing.
    """
    trials: list[Trial] = []
    places: Sequence[int] = _GRID
    rounds = [*zip(_lengths(total_steps), _BEYOND, strict=True)]
    if patient and (longest := min(_LONGER * rounds[-1][0], total_steps)) > rounds[-1][0]:
        rounds.append((longest, _BEYOND[-1]))
    for number, (steps, spare) in enumerate(rounds, start=1):
        found = {place: attempt(_rate(middle, place), steps) for place in places}
        while spare and (beyond := _beyond(found, untrained)) is not None:
            found[beyond] = attempt(_rate(middle, beyond), steps)
            spare -= 1
        trials += found.values()
        places = _kept(found, untrained)
        if not places or (number >= len(_BEYOND) and _learnt(found, untrained)):
            break
    return Search(trials, total_steps, untrained)


def _lengths(total_steps: int) -> tuple[int, int]:
    """Steps of a training in either round."""
    units = len(_GRID) + _BEYOND[0] + _LONGER * (_KEPT + _BEYOND[1])
    short = max(_FEWEST_STEPS, int(SHARE * total_steps / units))
    return min(short, total_steps), min(_LONGER * short, total_steps)


def _kept(found: Mapping[int, Trial], untrained: float) -> list[int]:
    """The places that go on: those of the lowest losses, or where all is luck, those in the middle."""
    sound = [place for place in found if math.isfinite(found[place].loss)]
    if not _learnt(found, untrained):
        return sorted(sound, key=abs)[:_KEPT]
    return sorted(sound, key=lambda place: found[place].loss)[:_KEPT]


def _beyond(found: Mapping[int, Trial], untrained: float) -> int | None:
    """The place beside the best, where that is an end; the lower one where all have diverged. None: all is luck."""
    best = min(found, key=lambda place: (found[place].loss, place))
    if math.isfinite(found[best].loss) and not _learnt(found, untrained):
        return None
    if best == min(found):
        return best - 1
    return best + 1 if best == max(found) else None


def _learnt(found: Mapping[int, Trial], untrained: float) -> bool:
    """Whether any has: else losses differ by luck."""
    return min(trial.loss for trial in found.values()) < (1 - _LEARNT) * untrained


def _rate(middle: float, place: int) -> float:
    """In two digits, as one says it."""
    return middle if place == 0 else float(f"{middle * _FACTOR**place:.2g}")
