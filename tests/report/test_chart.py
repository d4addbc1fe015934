"""Line charts: their axes, and where their lines are in the picture."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainer.report.axis import axis_for, is_drawable
from trainer.report.chart import Chart, Line, draw_charts

BLUE, GREEN = "#0000ff", "#00ff00"
VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False).filter(is_drawable), max_size=5)


@given(VALUES)
def test_an_axis_holds_all_values_and_its_labels_say_where_its_ticks_are(values: list[float]) -> None:
    axis = axis_for(values, 7)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert 2 <= len(axis.ticks) <= 8 and all(0 <= axis.share(tick) <= 1 for tick in axis.ticks)
    assert len(set(axis.labels)) == len(axis.labels)
    shift = [axis.share(float(label)) - axis.share(tick) for label, tick in zip(axis.labels, axis.ticks, strict=True)]
    assert max(map(abs, shift)) < 1e-6


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_an_axis_of_whole_numbers_has_whole_ticks(values: list[int]) -> None:
    axis = axis_for(values, 7, whole=True)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert 1 <= len(axis.ticks) <= 8
    assert all(tick == round(tick) == float(label) for tick, label in zip(axis.ticks, axis.labels, strict=True))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([2.3, 2.1], ["2.10", "2.15", "2.20", "2.25", "2.30"]),
        ([0.0, 3e-3], ["0.0000", "0.0005", "0.0010", "0.0015", "0.0020", "0.0025", "0.0030"]),
        ([1e30, 2e29], ["2.0e+29", "4.0e+29", "6.0e+29", "8.0e+29", "1.0e+30"]),
        ([-2e-12, 4e-12], ["-2e-12", "-1e-12", "0", "1e-12", "2e-12", "3e-12", "4e-12"]),
        ([12, 170_000], ["0", "50000", "100000", "150000"]),
    ],
)
def test_ticks_are_at_round_numbers(values: list[float], labels: list[str]) -> None:
    assert axis_for(values, 7).labels == labels


def test_an_axis_from_zero_starts_there() -> None:
    assert axis_for([3.0, 5.0], 7, from_zero=True).low == 0


def blue_and_green(tmp_path: Path, chart: Chart) -> tuple[np.ndarray, np.ndarray]:
    """Where the picture of the chart is blue, and where it is green, below the title."""
    draw_charts([chart], tmp_path / "x.png")
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"), dtype=int)[40:]
    red, green, blue = np.moveaxis(pixels, 2, 0)
    return (blue > red + 100) & (blue > green + 100), (green > red + 100) & (green > blue + 100)


def test_points_lie_where_their_values_say_in_every_line(tmp_path: Path) -> None:
    rising, falling = [(1, 0.0), (2, 0.5), (3, 1.0)], [(1, 0.75), (3, 0.25)]
    blue, green = blue_and_green(tmp_path, Chart("x", "epoch", [Line(BLUE, rising), Line(GREEN, falling)]))
    rows, columns = np.nonzero(blue)
    first, last = rows[columns == columns.min()].mean(), rows[columns == columns.max()].mean()
    assert first > last + 200, "the first point is not far below the last"
    centre = blue[:, (columns.min() + columns.max()) // 2].nonzero()[0].mean()
    assert centre == pytest.approx((first + last) / 2, abs=1.5)
    rows, columns = np.nonzero(green)
    begun, ended = rows[columns == columns.min()].mean(), rows[columns == columns.max()].mean()
    assert [begun, ended] == pytest.approx([last + (first - last) / 4, first - (first - last) / 4], abs=1.5)


@pytest.mark.parametrize("gap", [None, math.nan, math.inf, -math.inf, 1e305])
def test_a_line_is_broken_where_there_is_no_number_and_a_point_alone_is_a_dot(
    tmp_path: Path, gap: float | None
) -> None:
    points = [(epoch, 1.0 if epoch not in (40, 60, 61, 63) else gap) for epoch in range(1, 101)]
    blue, _ = blue_and_green(tmp_path, Chart("x", "epoch", [Line(BLUE, points)]))
    columns = blue.any(axis=0).nonzero()[0]
    at = {epoch: columns.min() + (columns.max() - columns.min()) * (epoch - 1) / 99 for epoch in (20, 40, 62, 80)}
    height = {epoch: int(blue[:, round(column)].sum()) for epoch, column in at.items()}
    assert height[40] == 0
    assert height[20] == height[80] < height[62]


def test_a_chart_without_any_number_is_empty(tmp_path: Path) -> None:
    blue, _ = blue_and_green(tmp_path, Chart("x", "epoch", [Line(BLUE, [(1, None), (2, math.nan)], "training")]))
    assert not blue.any()
