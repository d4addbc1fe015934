"""Pages: one HTML file each, which holds its styles and pictures, runs no code and asks nothing of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trainer.errors import visible
from trainer.records.folder import replace_text
from trainer.report.page import words
from trainer.report.page.charts import Chart, Line, line_chart, matrix, reliability_bars
from trainer.report.page.facts import RunFacts
from trainer.report.page.pictures import Mistake, Pictures
from trainer.report.page.scores import Scores, part_of
from trainer.report.page.settings import unlike_defaults
from trainer.task.task import Task

_WIDEST = 30
"""Classes of a confusion matrix that can be read: of more, those with most mistakes."""
_MOST_ROWS = 40
_LINES = ("training", "validation")


def write_run_page(facts: RunFacts, pictures: Pictures, path: Path) -> None:
    """The page of a run. Raises OutputError."""
    write_page("run.html", path, **shown(facts, pictures))


def write_page(template: str, path: Path, **values: Any) -> None:
    """A template of this folder with these values, in one piece. Raises OutputError."""
    replace_text(path, _templates().get_template(template).render(values) + "\n")


def shown(facts: RunFacts, pictures: Pictures) -> dict[str, Any]:
    """What the template of a run's page is given."""
    scores = facts.scores[0] if facts.scores else None
    return {
        "facts": facts,
        "verdict": words.verdict(facts),
        "small_print": words.small_print(facts),
        "cards": words.cards(facts),
        "charts": curves(facts),
        "scores": scores,
        "part": part_of(scores) if scores else "",
        "others": words.others(scores) if scores else [],
        "also": facts.scores[1:],
        "wording": facts.wording,
        "rows": _rows(scores) if scores else [],
        "matrix": _matrix(scores) if scores else None,
        "pairs": words.pairs_in_words(scores) if scores else [],
        "bars": reliability_bars(scores.bins, facts.wording.RIGHT) if scores else [],
        "calibration_says": words.reading_of_calibration(scores, facts.wording) if scores else "",
        "pictures": pictures,
        "mistakes": [(each, facts.wording.caption(each)) for each in _mistakes(scores, pictures)],
        "settings": unlike_defaults(facts.config),
        "commands": words.commands(facts),
        "footer": words.footer(facts),
    }


def curves(facts: RunFacts) -> list[Chart]:
    """The score, loss and rate over the run; none where no epoch was finished."""
    epochs, steps, task = facts.epochs, facts.steps, facts.wording.TASK
    if not epochs:
        return []
    best = (facts.summary.get("best") or {}).get("epoch") or max(
        (line["epoch"] for line in epochs if line.get("best")), default=None
    )

    def over_epochs(key: str) -> list[tuple[float, float | None]]:
        return [(line["epoch"], line.get(key)) for line in epochs]

    if len(epochs) == 1:  # a point is no curve: the steps of its one epoch are
        title = task.step_score_in_words
        score, loss = ([Line("training", "a", _over_steps(steps, key))] for key in (task.step_score, "loss"))
    else:
        title, names = _score_and_lines(task)
        score, loss = (
            [Line(told[0], "a", over_epochs(train), thin=True), Line(told[1], "b", over_epochs(val))]
            for told, train, val in (
                (names, f"train_{task.step_score}", f"val_{task.score}"),
                (_LINES, "train_loss", "val_objective"),
            )
        )
    rates = steps if len(steps) > 1 else epochs
    rate = [Line("learning rate", "c", _over_steps(rates, "lr"))]
    mark, across = (best, "epoch") if len(epochs) > 1 else (None, "step")
    found = [
        line_chart(title[:1].upper() + title[1:], across, score, mark=mark, percent=True),
        line_chart("Loss", across, loss, mark=mark),
        line_chart("Learning rate", "step", rate, from_zero=True),
    ]
    return [chart for chart in found if chart is not None and any("L" in line.path for line in chart.lines)]


def _score_and_lines(task: Task) -> tuple[str, tuple[str, str]]:
    """The title of the chart of the score, and the names of its lines, which are of two scores in some tasks."""
    if task.step_score == task.score:
        return task.score_in_words, _LINES
    return "scores", (f"{_LINES[0]} {task.step_score_in_words}", f"{_LINES[1]} {task.score_in_words}")


def _over_steps(steps: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float | None]]:
    return [(line["step"], line.get(key)) for line in steps]


def _rows(scores: Scores) -> list[tuple[str, dict[str, Any]]]:
    """The classes with their figures; of many, those with the lowest F1."""
    rows = [(name, dict(figures)) for name, figures in (scores.per_class or {}).items()]
    if len(rows) <= _MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: -1.0 if row[1]["f1"] is None else row[1]["f1"])[:_MOST_ROWS]


def _matrix(scores: Scores) -> Any:
    confusion, classes = scores.confusion, scores.classes
    if confusion is None or len(confusion) != len(classes):
        return None
    if len(classes) <= _WIDEST:
        return matrix(confusion, classes)
    wrong = [sum(row) - row[place] for place, row in enumerate(confusion)]
    worst = sorted(sorted(range(len(wrong)), key=lambda place: -wrong[place])[:_WIDEST])
    return matrix([[confusion[row][column] for column in worst] for row in worst], [classes[place] for place in worst])


def _mistakes(scores: Scores | None, pictures: Pictures) -> list[Mistake]:
    """The surest mistakes: those that an evaluation tells, with the pictures that there are of them, or those kept."""
    if scores is None or not scores.mistakes:
        return [] if scores is None or scores.part != pictures.part else list(pictures.mistakes)
    kept = {(mistake.path, mistake.prediction): mistake for mistake in pictures.mistakes}
    found = []
    for told in scores.mistakes[:12]:
        known = kept.get((told.path, told.prediction), told)
        found.append(replace(told, picture=known.picture, map=known.map))
    return found


def _finalized(value: Any) -> Any:
    """Text without characters that would turn the reading direction, or that HTML has no place for."""
    is_text = isinstance(value, str | Path) and not isinstance(value, Markup)
    return visible(str(value), keep="\n") if is_text else value


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # slow to import, and needed once

    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.globals["style"] = Markup((folder / "page.css").read_text(encoding="utf-8"))
    return environment
