"""An evaluation for a person: tables, and what they come to in words."""

from collections.abc import Iterator, Sequence
from typing import Any

from trainer.errors import visible
from trainer.inference.judges import judge_of
from trainer.inference.scored import Scored


def tell(scored: Scored[Any]) -> None:
    """Prints the whole, first things first."""
    print(visible(_heading(scored)))
    for line in (*scored.notes, *_unmatched(scored)):
        print(visible(line, keep="\n"))
    judge_of(scored.task).tell(scored)


def _heading(scored: Scored[Any]) -> str:
    runs = " + ".join(str(run.path) for run in scored.runs)
    looks = {"none": "", "flip": ", each seen twice, mirrored", "crops": ", each seen in ten crops"}[scored.tta]
    return f"{runs} on {scored.pictures.name}: {scored.evaluation.images:,} images{looks}; {scored.engine}"


def _unmatched(scored: Scored[Any]) -> Iterator[str]:
    unknown, missing = scored.unknown, scored.pictures.match.missing
    if unknown:
        yield judge_of(scored.task).left_out(unknown)
    if missing:
        yield judge_of(scored.task).lacking(missing)


def names_of(paths: Sequence[object]) -> str:
    """Where the files lie, in one line."""
    return visible(", ".join(map(str, paths)))
