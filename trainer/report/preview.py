"""preview.png: what the model will see, the learning rate over the run, and how many images each class has."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer.errors import OutputError

_MOST_BARS = 40
_LABEL_WIDTH = 18
_WORDS_WIDTH = 24


@dataclass(frozen=True)
class Cell:
    """One image of the grid, (C, H, W) in [0, 1], and a few words below it."""

    image: Tensor
    words: str = ""


@dataclass(frozen=True)
class Preview:
    """All that is drawn. The grid has a row for each image and a column for each heading."""

    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    """The labels of the image by name, and its cells."""
    rates: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    """For each group of parameters with a rate of its own: epochs, and learning rates then."""
    counts: Mapping[str, Mapping[str, int]]
    """For each part of the set: class -> images."""
    rate_title: str = "learning rate"


def draw_preview(preview: Preview, picture: Path) -> None:
    """Draws the picture, in one piece. Raises OutputError if it cannot be written."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    grid_height = 1.45 * len(preview.rows) + 0.6
    figure = Figure(figsize=(12, grid_height + 4.2), layout="constrained")
    areas = figure.subfigures(2, 1, height_ratios=(grid_height, 4.2), squeeze=False)
    _draw_grid(areas[0, 0].subplots(), preview)
    rate, counts = areas[1, 0].subplots(1, 2)
    _draw_rates(rate, preview)
    _draw_counts(counts, preview.counts)
    temporary = picture.with_name(picture.name + ".tmp")
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a class name in another script
            figure.savefig(temporary, dpi=100, format="png")
        temporary.replace(picture)
    except OSError as error:
        raise OutputError(
            f"{picture} cannot be written: {error.strerror}. Choose another with output=FILE.png"
        ) from error


def _draw_grid(axes: Any, preview: Preview) -> None:
    for row, (_, cells) in enumerate(preview.rows):
        for column, cell in enumerate(cells):
            pixels = cell.image.permute(1, 2, 0).numpy()
            place = _within(column, row, *pixels.shape[:2])
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=place, interpolation="nearest")
            axes.text(
                column + 0.5,
                row + 0.905,
                _plain(cell.words, _WORDS_WIDTH),
                ha="center",
                va="top",
                size=7,
                parse_math=False,
            )
    width, height = len(preview.headings), len(preview.rows)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_xticks([column + 0.5 for column in range(width)], preview.headings)
    axes.set_yticks([row + 0.45 for row in range(height)], [_plain(name) for name, _ in preview.rows], parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _within(column: int, row: int, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a picture, as large as its cell of the grid holds it."""
    across, down = (0.45 * side / max(height, width) for side in (width, height))
    return column + 0.5 - across, column + 0.5 + across, row + 0.45 + down, row + 0.45 - down


def _draw_rates(axes: Any, preview: Preview) -> None:
    for label, (epochs, rates) in preview.rates.items():
        axes.plot(epochs, rates, label=label)
    axes.set(title=preview.rate_title, xlabel="epoch", ylim=(0, None))
    axes.grid(alpha=0.3)
    if len(preview.rates) > 1:
        axes.legend()


def _draw_counts(axes: Any, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Bars with names; where the classes are too many for names, a line from the largest to the smallest."""
    names = list(next(iter(counts.values())))
    axes.set(title=f"images of each of the {len(names)} classes")
    if len(names) > _MOST_BARS:
        for part, of_class in counts.items():
            axes.plot(sorted(of_class.values(), reverse=True), label=part)
        axes.set(xlabel="classes, the largest first")
    else:
        width = 0.8 / len(counts)
        for number, (part, of_class) in enumerate(counts.items()):
            places = [position + (number - (len(counts) - 1) / 2) * width for position in range(len(names))]
            axes.bar(places, list(of_class.values()), width, label=part)
        shown = [_plain(name) for name in names]
        long = len(names) > 12 or max(map(len, shown)) > 5
        axes.set_xticks(range(len(names)), shown, rotation=90 if long else 0, size=8, parse_math=False)
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])  # room for the legend
    axes.grid(alpha=0.3, axis="y")
    axes.legend(ncols=len(counts), loc="upper right")


def _plain(name: str, width: int = _LABEL_WIDTH) -> str:
    """A name that can be drawn and leaves room for the picture."""
    name = name.encode("utf-8", "replace").decode()
    return name if len(name) <= width else name[: width - 1] + "…"
