"""Whether one run is better than another, or was lucky: their answers on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from trainer.inference.resampling import interval

_NOISE = 0.05
_REPEATS = 10_000


@dataclass(frozen=True)
class Difference:
    """The difference of two runs' accuracies on the same images, or of another share of the images."""

    first: str
    second: str
    images: int
    only_first: int
    """Images that the first run answers rightly and the second does not; the other images that tell them apart are:"""
    only_second: int
    interval: tuple[float, float]
    """Where 95 % of the difference lies, as the paired bootstrap has it."""
    p_value: float
    """How often runs that are equally good differ as much: McNemar's exact test, Holm's correction for many pairs."""
    what: str = "accuracy"
    """What the share of the images is called that are answered rightly."""

    @property
    def accuracy(self) -> float:
        """The share of the first less that of the second, in [-1, 1]."""
        return (self.only_first - self.only_second) / self.images

    @property
    def more_than_noise(self) -> bool:
        """Whether equally good runs differ as much less than once in twenty times."""
        return self.p_value < _NOISE

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.only_first == self.only_second:
            which = f"each on {self.only_first:,} that the other gets wrong" if self.only_first else "on the same ones"
            return f"{self.first} and {self.second} are right on equally many of {self.images:,} images, {which}."
        better, worse, sign = (self.first, self.second, 1) if self.accuracy > 0 else (self.second, self.first, -1)
        low, high = sorted(round(100 * sign * bound, 2) + 0.0 for bound in self.interval)  # + 0: no -0.00
        chance = f"p = {self.p_value:.3f}" if self.p_value >= 0.001 else "p < 0.001"
        above = f"{better} is {100 * abs(self.accuracy):.2f} points of {self.what} above {worse}"
        if (
            low > 0 and not self.more_than_noise
        ):  # the interval would deny it: of few images resampling knows too little
            return f"{above}, on {self.images:,} images: too few to tell that from noise (McNemar's test, {chance})."
        return (
            f"{above} (95% interval {low:.2f} to {high:.2f}, {self.images:,} images): the difference is "
            f"{'' if self.more_than_noise else 'not '}more than noise (McNemar's test, {chance})."
        )


def differences(right: Mapping[str, NDArray[np.bool_]], what: str = "accuracy", *, seed: int = 0) -> list[Difference]:
    """Those of all pairs of runs, in order.

    right: run -> (N,), whether its answer for an image is right; the same images in the same order for each, and one at
    least. what: the share of these, in words. seed: of the resampling.
    """
    assert len({array.shape for array in right.values()}) == 1
    pairs = list(combinations(right, 2))
    tables = [_only(right[first], right[second]) for first, second in pairs]
    chances = _holm([_mcnemar(*table) for table in tables])
    images = len(next(iter(right.values())))
    return [
        Difference(*pair, images, *table, _paired_bootstrap(*table, images, seed), chance, what)
        for pair, table, chance in zip(pairs, tables, chances, strict=True)
    ]


def disagreements(answers: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """The images to which the runs do not all give one answer. answers: run -> (N,), in the classes of all."""
    every = np.stack(list(answers.values()))  # (runs, N)
    return np.flatnonzero((every != every[0]).any(axis=0))


def _only(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    return int((first & ~second).sum()), int((second & ~first).sum())


def _mcnemar(only_first: int, only_second: int) -> float:
    """The probability of so uneven a division, or a more uneven one, if each image had fallen to either by a coin.

    The exact form of McNemar 1947 rather than chi-squared, which is right only for many images.
    """
    from scipy.stats import binomtest  # type: ignore[import-untyped]  # imported here: it takes a second

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def _holm(chances: list[float]) -> list[float]:
    """Each as it is to be read where the least of many was looked for (Holm 1979)."""
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = highest
    return adjusted


def _paired_bootstrap(only_first: int, only_second: int, images: int, seed: int) -> tuple[float, float]:
    """Of the difference. Images are of three kinds here, so drawing how many come of each is drawing images."""
    counts = np.array([only_first, only_second, images - only_first - only_second])
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, size=_REPEATS)
    return interval((drawn[:, 0] - drawn[:, 1]) / images)
