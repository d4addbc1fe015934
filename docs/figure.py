"""A small figure as SVG: lines with their spread, each named where it ends, in the reader's colours, light or dark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import mean

from trainer.report.axis import Axis, axis_for

WIDTH, HEIGHT, SHOWN = 380, 262, 1.3
"""Of the drawing, in its own units, and how many times as large it is shown where there is room."""
TOP, BOTTOM, EDGE = 62, 212, 14
LETTER, ROW, ASIDE = 7.2, 15, 12
"""Width of a letter of a name, and height of its row; how far apart lines are drawn whose places are not joined."""
STYLE = """\
svg { --card: #ffffff; --ink: #1d2126; --soft: #5c6570; --line: #e3e1dc; --grid: #ebe9e4;
  --a: #2f6fb7; --b: #b85c00; --c: #22795a; }
@media (prefers-color-scheme: dark) {
  svg { --card: #1c2024; --ink: #e7e9ec; --soft: #9aa4af; --line: #30363d; --grid: #2a3036;
    --a: #6aa9f0; --b: #f0a04b; --c: #5cc8a0; }
}
text { fill: var(--soft); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.card { fill: var(--card); stroke: var(--line); }
.title { fill: var(--ink); font-size: 15px; font-weight: 650; }
.grid { stroke: var(--grid); }
.a { --own: var(--a); } .b { --own: var(--b); } .c { --own: var(--c); }
.name { fill: var(--own); font-weight: 650; }
.line { fill: none; stroke: var(--own); stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
.band { fill: var(--own); fill-opacity: 0.16; }
.dot { fill: var(--own); }
.seed { fill: none; stroke: var(--own); stroke-opacity: 0.7; }"""
"""The colours of a run's own page (trainer/report/page/page.css), where names are to be read a little stronger."""


@dataclass(frozen=True)
class Line:
    """A name, and for each place across what each of the seeds came to."""

    name: str
    points: Sequence[tuple[float, Sequence[float]]]


@dataclass(frozen=True)
class Figure:
    """One message. up: what is measured. across: what is varied. joined: else each place across stands by itself."""

    title: str
    up: str
    across: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]] = ()
    """Places across and what stands there; none: round numbers."""
    percent: bool = True
    joined: bool = True

    def said(self, value: float) -> str:
        return f"{100 * value:.1f} %" if self.percent else f"{value:#.2g}"

    def in_words(self) -> str:
        """The mean of the seeds, the least and the greatest: at every place with a name of its own, or at both ends."""
        told = dict(self.ticks)

        def point(place: float, seeds: Sequence[float]) -> str:
            spread = f" ({self.said(min(seeds))} to {self.said(max(seeds))})" if len({*seeds}) > 1 else ""
            return f"{told.get(place, f'{place:g}')}: {self.said(mean(seeds))}{spread}"

        shown = [line.points if told else (line.points[0], line.points[-1]) for line in self.lines]
        lines = [
            f"{line.name} at {', '.join(point(*each) for each in points)}"
            for line, points in zip(self.lines, shown, strict=True)
        ]
        return f"{self.up}, over {self.across}: {'; '.join(lines)}"


@dataclass(frozen=True)
class Frame:
    """Where things are drawn."""

    left: float
    right: float
    across: Axis
    up: Axis

    def x(self, place: float) -> float:
        return round(self.left + self.across.share(place) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        return round(BOTTOM - self.up.share(value) * (BOTTOM - TOP), 1)


def drawn(figure: Figure) -> str:
    """The figure as the text of an SVG file."""
    up = axis_for([value for line in figure.lines for _, seeds in line.points for value in seeds], 5)
    labels = [f"{100 * tick:g} %" for tick in up.ticks] if figure.percent else up.labels
    places = [place for line in figure.lines for place, _ in line.points]
    round_ones = axis_for(places, 6, whole=True)
    ticks = figure.ticks or list(zip(round_ones.ticks, round_ones.labels, strict=True))
    low, high = min(places), max(places)
    room = 0.0 if figure.joined else 0.4 * (high - low)
    frame = Frame(
        left=EDGE + 8 + LETTER * max(map(len, labels)),
        right=WIDTH - EDGE - 10 - LETTER * max(7, *(len(line.name) for line in figure.lines)),
        across=Axis(low - room, high + room, (), ()),
        up=up,
    )
    shapes = [
        *_axes(frame, list(zip(up.ticks, labels, strict=True)), [each for each in ticks if low <= each[0] <= high]),
        *_lines(frame, figure),
    ]
    return "\n".join([*_head(figure), *shapes, _words(figure.across, WIDTH / 2, HEIGHT - 13, "middle"), "</svg>", ""])


def _head(figure: Figure) -> Iterator[str]:
    size = f'width="{WIDTH * SHOWN:g}" height="{HEIGHT * SHOWN:g}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    yield f"<title>{escape(figure.title)}</title>"
    yield f"<desc>{escape(figure.in_words())}</desc>"
    yield f"<style>\n{STYLE}\n</style>"
    yield f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>'
    yield _words(figure.title, EDGE, 26, style="title")
    yield _words(figure.up, EDGE, 45)


def _axes(frame: Frame, up: Sequence[tuple[float, str]], across: Sequence[tuple[float, str]]) -> Iterator[str]:
    for tick, label in up:
        yield f'<path class="grid" d="M{frame.left:.1f},{frame.y(tick)}H{frame.right:.1f}"/>'
        yield _words(label, frame.left - 7, frame.y(tick) + 4, "end")
    for tick, label in across:
        yield _words(label, frame.x(tick), BOTTOM + 19, "middle")


def _lines(frame: Frame, figure: Figure) -> Iterator[str]:
    """Each line as its mean over the seeds, in the band from the least to the greatest; its name where it ends."""
    last = [mean(line.points[-1][1]) for line in figure.lines]
    ends = apart([frame.y(each) for each in last])
    for line, style, value, y in zip(figure.lines, "abc"[: len(last)], last, ends, strict=True):
        aside = 0.0 if figure.joined else ASIDE * ("abc".index(style) - (len(last) - 1) / 2)
        middle = [(frame.x(place) + aside, frame.y(mean(seeds))) for place, seeds in line.points]
        if figure.joined:
            least = [(frame.x(place), frame.y(min(seeds))) for place, seeds in line.points]
            greatest = [(frame.x(place), frame.y(max(seeds))) for place, seeds in line.points]
            yield f'<path class="band {style}" d="{_path([*greatest, *reversed(least)])}Z"/>'
            yield f'<path class="line {style}" d="{_path(middle)}"/>'
        else:
            circles = [(frame.x(place) + aside, frame.y(each)) for place, seeds in line.points for each in seeds]
            yield from (f'<circle class="seed {style}" cx="{x:g}" cy="{y:g}" r="3.5"/>' for x, y in circles)
        if figure.ticks:
            yield from (f'<circle class="dot {style}" cx="{x:g}" cy="{y:g}" r="3.5"/>' for x, y in middle)
        yield _words(line.name, frame.right + 10, y - 2, style=f"name {style}")
        yield _words(figure.said(value), frame.right + 10, y - 2 + ROW, style=f"name {style}")


def apart(heights: Sequence[float], least: float = 2 * ROW + 4) -> list[float]:
    """Heights that lie that far apart, near those given and in their order, with two rows of words above BOTTOM."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = [heights[number] for number in order]
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + least)
    lowest: float = BOTTOM - ROW
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], lowest)
        lowest = placed[place] - least
    return [placed[order.index(number)] for number in range(len(heights))]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x},{y}" for x, y in points)


def _words(text: str, x: float, y: float, anchor: str = "start", style: str = "") -> str:
    chosen = f' class="{style}"' if style else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{chosen} x="{x:.1f}" y="{y:.1f}"{placed}>{escape(text)}</text>'
