"""compare: runs side by side, as text and as a page."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from trainer.data.decode import Frame, decode
from trainer.errors import DataError, visible
from trainer.inference.compare_page import write_compare_page
from trainer.inference.compared import Compared, compared
from trainer.records.folder import RunFolder
from trainer.report.page.facts import facts_of
from trainer.report.page.pictures import drawn
from trainer.report.tables import print_table
from trainer.size import square

PAGE = "compare.html"
_PATHS = 5
_PICTURES = 12
_SIDE = 112


def run(places: Sequence[str], words: Sequence[str], *, output: str | None = None) -> int:
    """Tells how the runs at the places differ, and writes it as a page. Returns 0.

    output: the page; None is compare.html in the folder that holds all of them.
    """
    folders = [RunFolder(Path(place).expanduser()) for place in places]
    page = Path(output).expanduser() if output else _common(folders) / PAGE
    found = compared([facts_of(folder) for folder in folders])
    write_compare_page(found, pictures_of(found), page)
    _tell(found)
    print(visible(f"written: {page}"))
    return 0


def pictures_of(found: Compared) -> list[str]:
    """The first images on which the runs disagree, as a page has them; empty for one that is not there."""
    return [_picture(Path(each.path)) for each in found.disagreements[:_PICTURES]]


def _picture(path: Path) -> str:
    try:
        return drawn(decode(path, Frame(square(_SIDE))).float() / 255) if path.is_file() else ""
    except DataError:
        return ""


def _common(folders: Sequence[RunFolder]) -> Path:
    """The folder that holds all runs, as they were named."""
    parents = [folder.path.parent for folder in folders]
    if len({parent.is_absolute() for parent in parents}) > 1:
        parents = [parent.absolute() for parent in parents]
    return Path(os.path.commonpath(parents))


def _tell(found: Compared) -> None:
    if found.settings:
        print_table(_table("settings that differ", ("", *found.names), found.settings))
    else:
        print("All settings are the same.")
    rows = [(name, *_figures(found, place)) for place, name in enumerate(found.names)]
    print_table(
        _table(
            f"scores{f' on {found.part}' if found.part else ''}",
            ("run", "measured on", "images", *_headings(found), "best epoch", "seconds"),
            rows,
        )
    )
    for line in (*found.missing, *(each.sentence for each in found.differences)):
        print(visible(line))
    if found.part:
        share = len(found.disagreements) / found.images
        print(f"They disagree on {len(found.disagreements):,} of {found.images:,} images ({share:.1%}).")
    for each in found.disagreements[:_PATHS]:
        answers = ", ".join(f"{name}: {answer}" for name, answer in zip(found.names, each.answers, strict=True))
        print(visible(f"  {each.path}: {each.label} ({answers})"))
    if len(found.disagreements) > _PATHS:
        print(f"  and {len(found.disagreements) - _PATHS:,} more")


def _headings(found: Compared) -> tuple[str, ...]:
    """Of the shares: the interval is of the first."""
    first, *others = found.judge.SHARES
    return (first, "95%", *others)


def _figures(found: Compared, place: int) -> tuple[str, ...]:
    scores, summary = found.scores[place], found.facts[place].summary
    best, seconds = (summary.get("best") or {}).get("epoch"), summary.get("seconds")
    told: tuple[str, ...] = ("-",) * (2 + len(_headings(found)))
    if scores is not None:
        between = "-" if scores.interval is None else " to ".join(f"{100 * bound:.2f}" for bound in scores.interval)
        first, *others = (f"{share(scores):.2%}" for share in found.judge.SHARES.values())
        told = (scores.part, f"{scores.images:,}", first, between, *others)
    return (*told, "-" if best is None else str(best), "-" if seconds is None else f"{seconds:.1f}")


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(Text(visible(heading)))
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table
