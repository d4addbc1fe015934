"""The page of several runs side by side."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.inference.compared import Compared
from trainer.report.page.charts import Chart, Line, line_chart
from trainer.report.page.write import write_page
from trainer.system.elapsed import duration

STYLES = "abcdefgh"
"""The colours of runs: as many as can be told apart."""
_MOST_SENTENCES = 12


def write_compare_page(found: Compared, pictures: Sequence[str], page: Path) -> None:
    """Writes the page. pictures: of the first disagreements. Raises OutputError."""
    write_page(
        "compare.html",
        page,
        title=f"{len(found.names)} runs side by side",
        verdict=verdict(found),
        small_print=found.missing,
        charts=_charts(found),
        commands=_commands(found),
        **side_by_side(found, pictures, "What came out"),
    )


def side_by_side(found: Compared, pictures: Sequence[str], heading: str) -> dict[str, Any]:
    """What came_out.html and differing.html are given: scores, settings and disagreements."""
    return {
        "heading": heading,
        "headings": list(found.judge.SHARES),
        "rows": [_row(found, place) for place in range(len(found.names))],
        "sentences": [each.sentence for each in found.differences[:_MOST_SENTENCES]],
        "settings": found.settings,
        "names": found.names,
        "disagreements": list(zip(found.disagreements, pictures, strict=False)),
        "num_disagreements": len(found.disagreements),
        "has_pictures": any(pictures),
        "images": found.images,
        "part": found.part,
    }


def verdict(found: Compared) -> str:
    """Which run is the best, and whether it is so by more than luck, in a sentence."""
    scored = [(scores.accuracy, name) for scores, name in zip(found.scores, found.names, strict=True) if scores]
    if not scored:
        return "None of these runs has finished an epoch: there is nothing to compare yet."
    (most, best), *others = sorted(scored, key=lambda pair: -pair[0])
    what = f"“{best}” {found.judge.BEST}, on {most:.1%}"
    if not found.differences:
        return f"{what}; whether by more than luck is not known."
    rivals = [
        each.second if each.first == best else each.first
        for each in found.differences
        if best in (each.first, each.second) and not each.more_than_noise
    ]
    if not rivals:
        return f"{what}, and that is more than luck."
    if len(rivals) == len(others):
        several = "the other" if len(others) == 1 else "any other"
        return f"{what}, but {found.images:,} images are too few to say that it is better than {several}."
    told = ", ".join(f"“{name}”" for name in rivals[:3]) + (" and others" if len(rivals) > 3 else "")
    return f"{what}; {found.images:,} images are too few to say that it is better than {told}."


def _row(found: Compared, place: int) -> dict[str, Any]:
    scores, summary = found.scores[place], found.facts[place].summary
    interval = scores.interval if scores else None
    return {
        "name": found.names[place],
        "style": STYLES[place % len(STYLES)],
        "measured": f"{scores.images:,} {scores.part}" if scores else "–",
        "shares": [share(scores) if scores else None for share in found.judge.SHARES.values()],
        "between": "–" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        "epoch": str((summary.get("best") or {}).get("epoch", "–")),
        "time": duration(summary["seconds"]) if summary.get("seconds") else "–",
    }


def _charts(found: Compared) -> list[Chart]:
    """Score and loss of all runs over each other, as far as there are colours."""
    charts, score = [], next(iter(found.judge.SHARES))
    for title, key, percent in (
        (f"Validation {score}", f"val_{found.task.score}", True),
        ("Validation loss", "val_loss", False),
    ):
        lines = [
            Line(name, style, [(line["epoch"], line.get(key)) for line in facts.epochs])
            for name, facts, style in zip(found.names, found.facts, STYLES, strict=False)
        ]
        charts.append(line_chart(title, "epoch", lines, percent=percent))
    return [chart for chart in charts if chart is not None and any("L" in line.path for line in chart.lines)]


def _commands(found: Compared) -> list[tuple[str, str]]:
    paths = [shlex.quote(str(facts.folder.path)) for facts in found.facts]
    return [
        ("All of them together, as one", f"python -m trainer evaluate {' '.join(paths)}"),
        *(
            (f"The page of {name}", f"python -m trainer report {path}")
            for name, path in zip(found.names, paths, strict=True)
        ),
    ]
