"""Parallel coordinates as plain geometry: an upright axis for each parameter, and across them a strand for each run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.report.axis import axis_for
from trainer.report.page.charts import Tick

HEIGHT, TOP, BOTTOM = 268.0, 34.0, 250.0
_STEP, _LEFT, _RIGHT = 118.0, 58.0, 78.0
_MOST_TICKS = 7
_LONGEST, _SHORT = 17, 6
"""Characters of a name; and of a number that stands at an axis where the others lie, not at round ones."""
_FAR_APART = 20
"""The ratio of the greatest to the least from which on numbers stand by their size."""
_ABSENT = "–"

Places = tuple[Callable[[str], float], list[Tick]]
"""Where a value lies upon an axis, and its ticks."""


@dataclass(frozen=True)
class Upright:
    """An axis: its place across, its name cut to fit, and the whole name."""

    place: float
    name: str
    whole: str
    ticks: Sequence[Tick]


@dataclass(frozen=True)
class Strand:
    """A run: an SVG path, the class of its colour, how good it is from 0 to 1, and what is said of it."""

    path: str
    style: str
    worth: float
    words: str


@dataclass(frozen=True)
class Parallel:
    """The whole, in the units of its viewBox."""

    width: float
    axes: Sequence[Upright]
    strands: Sequence[Strand]


@dataclass(frozen=True)
class Column:
    """What one axis shows: a value for each run, as text. Empty where a run has none."""

    name: str
    values: Sequence[str]


def parallel(
    columns: Sequence[Column], names: Sequence[str], styles: Sequence[str], *, least_is_best: bool = False
) -> Parallel:
    """The drawing, the first run on top. The last column is the score, a number of each run, from which worth follows.

    names, styles: of the runs. least_is_best: the score is a loss.
    """
    scores = [float(each) for each in columns[-1].values]
    low, high = min(scores), max(scores)
    turned = [least_is_best and column is columns[-1] for column in columns]  # the best stand above
    places = [(_LEFT + number * _STEP, *_axis(column.values, turned[number])) for number, column in enumerate(columns)]
    strands = []
    for row, (name, style) in enumerate(zip(names, styles, strict=True)):
        points = [f"{x:.1f} {at(column.values[row]):.1f}" for (x, at, _), column in zip(places, columns, strict=True)]
        share = (scores[row] - low) / (high - low) if high > low else 1.0
        words = ", ".join(f"{each.name} {each.values[row]}" for each in columns if each.values[row])
        worth = 1 - share if least_is_best else share
        strands.append(Strand(f"M{'L'.join(points)}", style, worth, f"{name}: {words}"))
    axes = [
        Upright(x, cut(column.name), column.name, ticks) for (x, _, ticks), column in zip(places, columns, strict=True)
    ]
    return Parallel(_LEFT + (len(columns) - 1) * _STEP + _RIGHT, axes, strands[::-1])


def numbers_of(values: Sequence[str]) -> list[float] | None:
    """The values as numbers; None where one is none."""
    try:
        numbers = [float(each) for each in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def is_logarithmic(numbers: Sequence[float]) -> bool:
    """Whether the numbers are told apart by their size rather than by their difference."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= _FAR_APART


def cut(text: str) -> str:
    """The text, short enough to stand at an axis."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _axis(values: Sequence[str], turned: bool) -> Places:
    """Numbers stand by their size, other values in a row as they come. What is absent stands below all of them.

    turned: the least stands above.
    """
    known = list(dict.fromkeys(each for each in values if each))
    numbers = numbers_of(known)
    bottom = BOTTOM if len(known) == len({*values}) else BOTTOM - (BOTTOM - TOP) / (min(len(known), 5) + 1)
    at, ticks = _in_a_row(known, bottom) if numbers is None or len(numbers) < 2 else _by_size(known, numbers, bottom)
    if turned:
        return lambda value: TOP + BOTTOM - at(value), [Tick(TOP + BOTTOM - tick.place, tick.label) for tick in ticks]
    absent = [Tick(BOTTOM, _ABSENT)] if bottom < BOTTOM else []
    return (lambda value: at(value) if value else BOTTOM), [*absent, *ticks]


def _in_a_row(known: Sequence[str], bottom: float) -> Places:
    step = (bottom - TOP) / max(len(known) - 1, 1)
    places = {value: bottom - number * step for number, value in enumerate(known)}
    if len(known) == 1:
        places = {known[0]: (bottom + TOP) / 2}
    shown = known[:: -(-len(known) // (2 * _MOST_TICKS))]
    return places.__getitem__, [Tick(places[value], cut(value)) for value in shown]


def _by_size(known: Sequence[str], numbers: Sequence[float], bottom: float) -> Places:
    scale = math.log if is_logarithmic(numbers) else float
    low, high = scale(min(numbers)), scale(max(numbers))

    def at(value: str) -> float:
        return bottom - (scale(float(value)) - low) / (high - low) * (bottom - TOP)

    if len(known) <= _MOST_TICKS and max(map(len, known)) <= _SHORT:
        return at, _apart([Tick(at(value), cut(value)) for value in sorted(known, key=float)])
    if scale is float:
        axis = axis_for(numbers, _MOST_TICKS - 2)
        labels = [label for tick, label in zip(axis.ticks, axis.labels, strict=True) if low <= tick <= high]
    else:
        labels = [f"{digit}e{power}" for power in _powers(numbers) for digit in (1, 3)]
        labels = [each for each in labels if min(numbers) <= float(each) <= max(numbers)]
    if len(labels) < 2:
        labels = [f"{end:.3g}" for end in (min(numbers), max(numbers))]
    return at, _apart([Tick(at(label), label) for label in labels])


def _powers(numbers: Sequence[float]) -> range:
    return range(math.floor(math.log10(min(numbers))), math.floor(math.log10(max(numbers))) + 1)


def _apart(ticks: Sequence[Tick]) -> list[Tick]:
    """Those that leave room for their labels, from the bottom up."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or kept[-1].place - tick.place >= 13:
            kept.append(tick)
    return kept
