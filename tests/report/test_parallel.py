"""Where the values of runs stand upon the axes of parallel coordinates."""

import math
import re
from itertools import pairwise

import pytest

from trainer.report.page.parallel import BOTTOM, TOP, Column, Parallel, parallel


def heights(drawn: Parallel) -> list[list[float]]:
    """Of each run, the best first: where its strand crosses each axis, 0 at the bottom and 1 at the top."""
    points = [re.findall(r"[\d.]+ ([\d.]+)", strand.path) for strand in drawn.strands]
    return [[(BOTTOM - float(y)) / (BOTTOM - TOP) for y in each] for each in points[::-1]]


def drawn(*columns: tuple[str, ...], least_is_best: bool = False) -> Parallel:
    runs = len(columns[0])
    shown = [Column(str(number), values) for number, values in enumerate(columns)]
    names, styles = [f"run {number}" for number in range(runs)], ["a"] * runs
    return parallel(shown, names, styles, least_is_best=least_is_best)


def test_numbers_stand_by_their_size_and_by_its_logarithm_where_they_are_far_apart() -> None:
    near, far, _ = zip(*heights(drawn(("1", "2", "4"), ("0.001", "0.01", "1"), ("3", "2", "1"))), strict=True)
    assert near == pytest.approx((0, 1 / 3, 1), abs=1e-3)
    assert far == pytest.approx((0, math.log(10) / math.log(1000), 1), abs=1e-3)


def test_words_stand_in_a_row_and_what_was_not_said_below_all() -> None:
    words, numbers, _ = zip(*heights(drawn(("a", "b", "c"), ("0", "", "5"), ("3", "2", "1"))), strict=True)
    assert words == pytest.approx((0, 0.5, 1), abs=1e-3)
    assert numbers[1] == 0 and 0 < numbers[0] < numbers[2] == 1


def test_the_best_score_stands_above_whichever_way_it_is_good() -> None:
    for least_is_best, scores in ((False, ("0.9", "0.5", "0.1")), (True, ("0.1", "0.5", "0.9"))):
        found = drawn(("a", "b", "c"), scores, least_is_best=least_is_best)
        assert [each[-1] for each in heights(found)] == pytest.approx([1, 0.5, 0], abs=1e-3)
        assert [strand.worth for strand in found.strands[::-1]] == pytest.approx([1, 0.5, 0])


def test_labels_of_an_axis_do_not_overlap() -> None:
    many = tuple(f"{0.001 * 1.7**number:.4g}" for number in range(14))
    for axis in drawn(many, tuple(f"{number / 7:.5f}" for number in range(14))).axes:
        places = sorted(tick.place for tick in axis.ticks)
        assert len(places) > 1 and all(high - low >= 13 for low, high in pairwise(places))
