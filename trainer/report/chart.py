"""Line charts side by side in one PNG. Pillow draws them: to import a drawing library takes longer than a short run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from trainer.report.axis import axis_for, is_drawable

_WIDTH, _HEIGHT = 440, 396
"""Pixels of one chart."""
_MARGIN, _TOP, _BOTTOM = 20, 42, 52
"""Pixels around what is plotted; on the left, the labels take more."""
_SCALE = 3
"""Lines are drawn so many times as large, and shrunk: so their edges are smooth."""
_LINE, _DOT = 2, 4.3
_MOST_DOTS = 30
"""A line of more points is drawn without dots."""
_SMALL, _LARGE = 13, 16
"""Sizes of words."""
_INK, _GRID, _PAPER = "#222222", "#e4e4e4", "white"


@dataclass(frozen=True)
class Line:
    """Points (x, y) in the order of x; where y is none that can be drawn, the line is broken."""

    colour: str
    points: Sequence[tuple[float, float | None]]
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """Lines over one axis of whole numbers."""

    title: str
    across: str
    """What the horizontal axis counts."""
    lines: Sequence[Line]
    from_zero: bool = False


def draw_charts(charts: Sequence[Chart], picture: Path) -> None:
    """Draws the charts side by side into a PNG file."""
    sheet = _Sheet(_WIDTH * len(charts), _HEIGHT)
    for number, chart in enumerate(charts):
        _draw(sheet, chart, _WIDTH * number)
    sheet.save(picture)


class _Sheet:
    """Shapes are drawn enlarged; words, which are smooth by themselves, are put on when all is shrunk."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._fonts = {size: ImageFont.load_default(size) for size in (_SMALL, _LARGE)}
        self._words: list[tuple[tuple[float, float], str, str, int]] = []

    def width_of(self, words: str) -> float:
        """Pixels that small words take."""
        return self._fonts[_SMALL].getlength(words)

    def bar(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A rectangle; a line of the grid is one that is a pixel thin."""
        self._draw.rectangle((left * _SCALE, top * _SCALE, right * _SCALE - 1, bottom * _SCALE - 1), fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        enlarged = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(enlarged, fill=colour, width=round(_LINE * _SCALE), joint="curve")

    def dot(self, centre: tuple[float, float], colour: str) -> None:
        x, y = centre
        box = [_SCALE * edge for edge in (x - _DOT, y - _DOT, x + _DOT, y + _DOT)]
        self._draw.ellipse(box, fill=colour)

    def words(self, place: tuple[float, float], words: str, anchor: str, size: int = _SMALL) -> None:
        """anchor: which point of the words is at that place, in Pillow's two letters."""
        self._words.append((place, words, anchor, size))

    def save(self, picture: Path) -> None:
        image = self._image.reduce(_SCALE)
        draw = ImageDraw.Draw(image)
        for place, words, anchor, size in self._words:
            draw.text(place, words, fill=_INK, font=self._fonts[size], anchor=anchor)
        image.save(picture)


def _draw(sheet: _Sheet, chart: Chart, offset: int) -> None:
    """Draws one chart, whose left edge is at that offset."""
    up = axis_for([y for line in chart.lines for _, y in line.points if is_drawable(y)], 7, from_zero=chart.from_zero)
    across = axis_for([x for line in chart.lines for x, _ in line.points], 7, whole=True)
    left = offset + _MARGIN + round(max(map(sheet.width_of, up.labels)))
    right, top, bottom = offset + _WIDTH - _MARGIN, _TOP, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return left + across.share(x) * (right - left), bottom - up.share(y) * (bottom - top)

    for tick, label in zip(across.ticks, across.labels, strict=True):
        x = round(place(tick, up.low)[0])
        sheet.bar(x, top, x + 1, bottom, _GRID)
        sheet.words((x, bottom + 8), label, "mt")
    for tick, label in zip(up.ticks, up.labels, strict=True):
        y = round(place(across.low, tick)[1])
        sheet.bar(left, y, right, y + 1, _GRID)
        sheet.words((left - 8, y), label, "rm")
    sheet.bar(left, bottom, right, bottom + 1, _INK)
    sheet.bar(left, top, left + 1, bottom, _INK)
    sheet.words(((left + right) / 2, _HEIGHT - 10), chart.across, "mb")
    sheet.words((left, top - 12), chart.title, "ls", _LARGE)
    _draw_names(sheet, chart.lines, right, top - 12)
    for line in chart.lines:
        _draw_line(sheet, line, place)


def _draw_line(sheet: _Sheet, line: Line, place: Callable[[float, float], tuple[float, float]]) -> None:
    """Draws a line where it is unbroken, with a dot at each point if they are few, and where one stands alone."""
    runs = [list(points) for there, points in groupby(line.points, lambda point: is_drawable(point[1])) if there]
    for run in runs:
        places = [place(x, y) for x, y in run if y is not None]
        sheet.line(places, line.colour)
        for each in places if len(line.points) <= _MOST_DOTS or len(places) == 1 else ():
            sheet.dot(each, line.colour)


def _draw_names(sheet: _Sheet, lines: Sequence[Line], right: float, baseline: float) -> None:
    """Draws the names of the lines, each behind a piece of its line, so that the last ends at the right."""
    for line in reversed([line for line in lines if line.name]):
        sheet.words((right, baseline), line.name, "rs")
        begun = right - sheet.width_of(line.name) - 8
        sheet.line([(begun - 22, baseline - 4), (begun, baseline - 4)], line.colour)
        right = begun - 40
