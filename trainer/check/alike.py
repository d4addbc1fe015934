"""Which small pictures show the same: resized, saved again, brighter or darker, but no more than that.

Two looks. The first compares all with all by a few low frequencies, as perceptual hashes do (Zauner 2010), but by their
angle and not by bits, so that no threshold has to be near. The second compares the details of the pairs that are left.
What counts as the same depends on the set: trousers on black are always alike, photographs never are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.check.seen import SIDE
from trainer.feed.pack import Pixels

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_FREQUENCIES = 9
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_DETAIL = 300.0
"""Length of the descriptor below which a picture is plain: a sky, a wall; noise of two levels comes to 120."""
_LEAST_COSINE = 0.95
_MOST_APART = 20.0
"""Levels that the colours of the same may differ by on average, brightness left aside; saved again it is some 3."""
_LOOKED_AT = 500
_ROWS = 1024
_CHUNK = 4096
_MOST_PAIRS = 2_000_000


@dataclass(frozen=True)
class Alike:
    """Pairs of pictures by their places, one[k] < other[k], and how alike their details are, at most 1."""

    one: Indices
    other: Indices
    likeness: Floats


def alike(small: Pixels) -> Alike:
    """The pairs that show the same. small: (N, 32, 32, 3).

    Plain pictures are left out: they are alike, and say nothing. Of 70,000 pictures all pairs are seen in 10 s.
    """
    descriptors, detail = _described(small)
    rows = np.flatnonzero(detail >= _LEAST_DETAIL)
    if len(rows) < 2:
        return Alike(*(np.empty(0, np.int64),) * 2, np.empty(0, np.float32))
    descriptors = descriptors[rows]
    least_cosine, least_likeness = _thresholds(descriptors, small, rows)
    one, other = (rows[each] for each in _near(descriptors, least_cosine))
    likeness = _likeness(small, one, other)
    kept = (likeness >= least_likeness) & (_apart_in_hue(small, one, other) <= _MOST_APART)
    one, other = np.minimum(one, other)[kept], np.maximum(one, other)[kept]
    order = np.lexsort((other, one))
    return Alike(one[order], other[order], likeness[kept][order])


def _described(small: Pixels) -> tuple[Floats, Floats]:
    """(N, 80) unit vectors: a cosine transform's low frequencies but for the mean, each by its height, as edges count.

    And (N,) their lengths before, in levels of 0 to 255.
    """
    places = (np.arange(SIDE) + 0.5) * np.pi / SIDE
    waves = (np.cos(np.arange(_FREQUENCIES)[:, None] * places) * np.sqrt(2 / SIDE)).astype(np.float32)
    heights = np.hypot(*np.meshgrid(np.arange(_FREQUENCIES), np.arange(_FREQUENCIES))).astype(np.float32)
    found = np.empty((len(small), _FREQUENCIES**2 - 1), np.float32)
    for start in range(0, len(small), _CHUNK):
        grey = small[start : start + _CHUNK].astype(np.float32) @ _LUMA
        waved = waves @ grey @ waves.T  # (B, 9, 9)
        found[start : start + _CHUNK] = (waved * heights).reshape(len(grey), -1)[:, 1:]
    lengths = np.linalg.norm(found, axis=1)
    return found / np.maximum(lengths, 1e-6)[:, None], lengths


def _thresholds(descriptors: Floats, small: Pixels, rows: Indices) -> tuple[float, float]:
    """The least cosine and likeness of the same: far above what is usual between a picture and the one nearest to it.

    Of these a fifth is looked through, so that in a set in which each picture is there twice most meet another one.
    """
    order = np.random.default_rng(0).permutation(len(descriptors))
    some, fifth = order[-_LOOKED_AT:], order[: max(1, len(order) // 5)]
    cosines = descriptors[some] @ descriptors[fifth].T
    cosines[some[:, None] == fifth] = -1
    nearest = fifth[cosines.argmax(axis=1)]
    usual = float(np.median(cosines.max(axis=1)))
    usual_likeness = float(np.median(_likeness(small, rows[some], rows[nearest])))
    return max(_LEAST_COSINE, 1 - 0.1 * (1 - usual)), 1 - 0.15 * (1 - usual_likeness) ** 2


def _near(descriptors: Floats, least: float) -> tuple[Indices, Indices]:
    """All pairs of so large a cosine; at most 2 million.

    Along the direction in which the descriptors differ most they are in order, and none farther off than two such
    pictures can be is looked at.
    """
    _, directions = np.linalg.eigh(np.cov(descriptors, rowvar=False))
    along = descriptors @ directions[:, -1].astype(np.float32)
    order = np.argsort(along, kind="stable")
    descriptors, along = descriptors[order], along[order]
    reach = np.sqrt(max(0.0, 2 - 2 * least))
    ones, others, count = [], [], 0
    for start in range(0, len(order), _ROWS):
        block = descriptors[start : start + _ROWS]
        stop = int(np.searchsorted(along, along[min(start + _ROWS, len(order)) - 1] + reach, side="right"))
        cosines = block @ descriptors[start:stop].T
        row, column = np.divmod(np.flatnonzero(cosines >= least), stop - start)
        ahead = column > row
        ones.append(order[start + row[ahead]])
        others.append(order[start + column[ahead]])
        count += int(ahead.sum())
        if count > _MOST_PAIRS:
            break
    return np.concatenate(ones), np.concatenate(others)


def _likeness(small: Pixels, one: Indices, other: Indices) -> Floats:
    """(K,) the correlation of the two pictures' edges, in all three colours: 1 where they show the same."""
    found = np.empty(len(one), np.float32)
    for start in range(0, len(one), _CHUNK):
        edges = [_edges(small[each[start : start + _CHUNK]]) for each in (one, other)]
        lengths = np.maximum(np.linalg.norm(edges[0], axis=1) * np.linalg.norm(edges[1], axis=1), 1e-6)
        found[start : start + _CHUNK] = (edges[0] * edges[1]).sum(axis=1) / lengths
    return found


def _apart_in_hue(small: Pixels, one: Indices, other: Indices) -> Floats:
    """(K,) how far the two pictures' colours are apart once each is as bright as the other, in levels of 0 to 255."""
    found = np.empty(len(one), np.float32)
    for start in range(0, len(one), _CHUNK):
        pairs = [small[each[start : start + _CHUNK]].astype(np.float32) for each in (one, other)]
        hues = [each - (each @ _LUMA)[..., None] for each in pairs]
        found[start : start + _CHUNK] = np.abs(hues[0] - hues[1]).mean(axis=(1, 2, 3))
    return found


def _edges(small: Pixels) -> Floats:
    """(B, 2 * 31 * 31 * 3): the steps down and across."""
    pixels = small.astype(np.float32)
    down, across = np.diff(pixels, axis=1)[:, :, 1:], np.diff(pixels, axis=2)[:, 1:]
    return np.concatenate([down, across], axis=3).reshape(len(small), 2 * 3 * (SIDE - 1) ** 2)
