"""evaluation.json, predictions.csv and left_out.txt: what an evaluation leaves in a folder, whole or not at all."""

import csv
import io
import os
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from trainer.errors import CheckpointError, OutputError
from trainer.inference.judges import judge_of
from trainer.inference.scored import Scored
from trainer.inference.temperature import evaluations_of
from trainer.records.folder import cannot_write, read_json, replace_text, write_json
from trainer.system import durable

LEFT_OUT = "left_out.txt"
"""The files that could not be read, as a run's folder has it too."""


def output_of(scored: Scored[Any], output: str | None) -> Path:
    """The folder to write into: the one that is said, or that of the part among the first run's evaluations.

    It has a number where another set of the same name was scored before, or with other members.
    """
    if output is not None:
        return Path(output).expanduser()
    name = scored.pictures.name if scored.tta == "none" else f"{scored.pictures.name}-{scored.tta}"
    if scored.threshold is not None:
        name += f"-threshold-{scored.threshold:g}"
    folder = evaluations_of(scored.runs[0]) / (f"ensemble-{name}" if scored.members else name)
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(each for each in chain([folder], numbered) if not _is_of_others(each, scored))


def _is_of_others(folder: Path, scored: Scored[Any]) -> bool:
    """Whether the scores of other pictures lie there, or those of other runs together."""
    try:
        before = read_json(folder / "evaluation.json")
    except CheckpointError:  # damaged: nobody reads it
        return False
    ours = scored.pictures
    are_ours = before.get("own_data") == ours.is_own and (ours.is_own or before.get("pictures") == ours.place)
    members = {Path(run["path"]).resolve() for run in before.get("runs", ())}
    by_ours = not scored.members or members == {run.path.resolve() for run in scored.runs}
    return bool(before) and not (are_ours and by_ours)


def check_writable(folder: Path) -> None:
    """Raises OutputError if nothing can be written there; so that it is told before the work, not after it."""
    there = durable.nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "is no folder" if not there.is_dir() else "is not writable"
        raise OutputError(f"{folder} cannot be written: {there} {why}. Choose another folder with output=FOLDER.")


def write(scored: Scored[Any], folder: Path) -> list[Path]:
    """Writes the files; gives their paths. Raises OutputError."""
    predictions, evaluation, left_out = (folder / name for name in ("predictions.csv", "evaluation.json", LEFT_OUT))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_beside(predictions, lambda file: _write_rows(scored, file)).replace(predictions)
        durable.sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_json(evaluation, plain(scored))
    if lines := scored.pictures.source.left_out:
        replace_text(left_out, "\n".join(lines) + "\n")
    return [evaluation, predictions, *([left_out] if lines else [])]


def plain(scored: Scored[Any]) -> dict[str, Any]:
    """What evaluation.json holds: the scores, what was scored on what, and the images that are worth a look."""
    judge = judge_of(scored.task)
    return {
        **judge.scores(scored),
        "split": scored.pictures.name,
        "own_data": scored.pictures.is_own,
        "pictures": scored.pictures.place,
        "tta": scored.tta,
        "threshold": scored.threshold,
        "engine": scored.engine,
        "runs": [_about(scored, place) for place in range(len(scored.runs))],
        "epoch": scored.runs[0].epoch,
        "unknown_classes": scored.unknown,
        "missing_classes": list(scored.pictures.match.missing),
        "images_left_out": len(scored.labels) - scored.evaluation.images,
        **judge.worth_a_look(scored),
        "notes": list(scored.notes),
    }


def _about(scored: Scored[Any], place: int) -> dict[str, Any]:
    run = scored.runs[place]
    scores = scored.members[place] if scored.members else scored.evaluation
    return {"path": str(run.path), "epoch": run.epoch, "weights": run.sha256, **scores.brief()}


def _write_rows(scored: Scored[Any], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    csv.writer(text, lineterminator="\n").writerows(judge_of(scored.task).rows(scored))
    text.detach()  # which flushes; the file is closed by who has opened it
