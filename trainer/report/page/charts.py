"""Charts as plain geometry, in the units of an SVG's viewBox; the template draws them, and its styles colour them."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.report.axis import Axis, axis_for, is_drawable

WIDTH, HEIGHT = 400.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 392.0, 10.0, 202.0
_MOST_POINTS = 400
_TICKS_ACROSS, _TICKS_UP = 6, 5

REST = "rest"
"""The style of lines that are there beside the others: pale, and without a name."""

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Line:
    """A line of a chart. style: the class of its colour, 'a' to 'h', or REST. thin: drawn as something less."""

    name: str
    style: str
    points: Sequence[Point]
    thin: bool = False


@dataclass(frozen=True)
class Tick:
    """Where an axis is ticked, and what stands there."""

    place: float
    label: str


@dataclass(frozen=True)
class DrawnLine:
    """A line as it is drawn: path is an SVG path; dots are where its points lie, if they are few."""

    name: str
    style: str
    thin: bool
    path: str
    dots: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Lines over an axis. alternative: what it shows, in words."""

    title: str
    across: str
    ticks_across: Sequence[Tick]
    ticks_up: Sequence[Tick]
    lines: Sequence[DrawnLine]
    mark: float | None
    alternative: str


@dataclass(frozen=True)
class Bar:
    """A bar of the reliability diagram: what was promised, and what was kept."""

    left: float
    width: float
    top: float
    bottom: float
    expected: float
    strength: float
    words: str


@dataclass(frozen=True)
class Cell:
    """A square of the confusion matrix."""

    left: float
    top: float
    count: int
    share: float
    right: bool
    words: str


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: a row for each label, a column for each answer."""

    side: float
    """Of a cell."""
    edge: float
    """Room for the names, left and above."""
    extent: float
    """Width and height of the whole."""
    names: Sequence[tuple[float, str, str]]
    """The middle of each row and column, its name cut to fit, and the whole name."""
    cells: Sequence[Cell]
    numbered: bool


def line_chart(
    title: str,
    across: str,
    lines: Sequence[Line],
    *,
    mark: float | None = None,
    percent: bool = False,
    whole: bool = True,
    from_zero: bool = False,
) -> Chart | None:
    """The chart of what can be drawn; None where nothing can. mark: where a line stands upright. whole: the ticks of
    the axis across are whole numbers."""
    thinned = [(line, _thinned(line.points)) for line in lines]
    values = [y for _, points in thinned for _, y in points if is_drawable(y)]
    places = [x for _, points in thinned for x, y in points if is_drawable(y)]
    if not values:
        return None
    reach = _wide_enough(values) if percent else values
    x_axis, y_axis = _across(places, whole), axis_for(reach, _TICKS_UP, from_zero=from_zero)
    drawn = [_drawn(line, points, x_axis, y_axis) for line, points in thinned]
    labels = [f"{100 * tick:g}%" for tick in y_axis.ticks] if percent else y_axis.labels
    return Chart(
        title,
        across,
        [Tick(_x(x_axis, tick), label) for tick, label in zip(x_axis.ticks, x_axis.labels, strict=True)],
        [
            Tick(_y(y_axis, tick), label)
            for tick, label in zip(y_axis.ticks, labels, strict=True)
            if not (percent and not 0 <= tick <= 1)
        ],
        [line for line in drawn if line.path],
        None if mark is None else _x(x_axis, mark),
        f"{title} over {across}: "
        + "; ".join(_in_words(line, percent) for line in lines if _last(line) is not None and line.style != REST),
    )


def reliability_bars(
    bins: Sequence[tuple[float, float, int, float | None, float | None]], right: str = "right"
) -> list[Bar]:
    """The bars of (low, high, images, confidence, accuracy); where there are no images there is none. right: what they
    are in the share of the last."""
    most = max((images for _, _, images, _, _ in bins), default=1) or 1
    axis = Axis(0.0, 1.0, (), ())
    return [
        Bar(
            left=_x(axis, low) + 1,
            width=_x(axis, high) - _x(axis, low) - 2,
            top=_y(axis, accuracy),
            bottom=BOTTOM - _y(axis, accuracy),
            expected=_y(axis, confidence),
            strength=0.35 + 0.65 * images / most,
            words=f"{images:,} answers with {low:.0%} to {high:.0%}: {right} in {accuracy:.0%}",
        )
        for low, high, images, confidence, accuracy in bins
        if images and confidence is not None and accuracy is not None
    ]


def matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Matrix:
    """The matrix, its cells as large as their number allows."""
    count = len(classes)
    longest = max(map(len, classes), default=1)
    side = max(17.0, min(64.0, 440.0 / count))
    edge = min(110.0, 16.0 + 6.6 * min(longest, 14))
    names = [
        (edge + (place + 0.5) * side, name if len(name) <= 14 else f"{name[:13]}…", name)
        for place, name in enumerate(classes)
    ]
    cells = []
    for row, counts in enumerate(confusion):
        support = sum(counts)
        for column, number in enumerate(counts):
            what = "named correctly" if row == column else f"taken for {classes[column]}"
            cells.append(
                Cell(
                    edge + column * side,
                    edge + row * side,
                    number,
                    number / support if support else 0.0,
                    row == column,
                    f"{classes[row]} {what}: {number:,} of {support:,}",
                )
            )
    return Matrix(side, edge, edge + count * side + 2, names, cells, numbered=count <= 16)


def _across(places: Sequence[float], whole: bool) -> Axis:
    """Without room at the ends, unless there is a single point."""
    low, high = min(places), max(places)
    axis = axis_for(places, _TICKS_ACROSS, whole=whole)
    if low == high:
        return axis
    inside = [(tick, label) for tick, label in zip(axis.ticks, axis.labels, strict=True) if low <= tick <= high]
    return Axis(low, high, [tick for tick, _ in inside], [label for _, label in inside])


def _drawn(line: Line, points: Sequence[Point], x_axis: Axis, y_axis: Axis) -> DrawnLine:
    path, pen_is_down, dots = [], False, []
    for x, y in points:
        if not is_drawable(y):
            pen_is_down = False
            continue
        place = (_x(x_axis, x), _y(y_axis, y))
        path.append(f"{'L' if pen_is_down else 'M'}{place[0]:.1f} {place[1]:.1f}")
        dots.append(place)
        pen_is_down = True
    has_dots = len(dots) <= 40 and not line.thin and line.style != REST
    return DrawnLine(line.name, line.style, line.thin, "".join(path), dots if has_dots else [])


def _wide_enough(shares: Sequence[float]) -> list[float]:
    """The ends of a range of a tenth at least, so that no small change looks like a large one."""
    low, high = min(shares), max(shares)
    more = max(0.0, 0.1 - (high - low)) / 2
    return [max(0.0, low - more), min(1.0, high + more)]


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Every so many of them, and the last."""
    step = -(-len(points) // _MOST_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _last(line: Line) -> float | None:
    known = [y for _, y in line.points if is_drawable(y)]
    return known[-1] if known else None


def _in_words(line: Line, percent: bool) -> str:
    known = [y for _, y in line.points if is_drawable(y)]
    first, last = (f"{value:.1%}" if percent else f"{value:.4g}" for value in (known[0], known[-1]))
    return f"{line.name} from {first} to {last}"


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (RIGHT - LEFT)


def _y(axis: Axis, value: float) -> float:
    return BOTTOM - axis.share(value) * (BOTTOM - TOP)
