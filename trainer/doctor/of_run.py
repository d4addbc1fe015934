"""The history of a run of ours, finished or broken off: read from its folder, without torch."""

import math
from collections.abc import Mapping
from typing import Any

from trainer.doctor.history import Epoch, History, Layer, Step, Vitals
from trainer.errors import DivergedError
from trainer.records.folder import RunFolder, read_json
from trainer.records.lines import read_metrics

_NO_SCORES = ("loss", "objective", "seconds")
"""What a line of an epoch tells of training or validation besides the score."""


def history_of(folder: RunFolder, summary: Mapping[str, Any] | None = None) -> History:
    """What the folder tells. summary: how the run has ended, where that is not written yet.

    Raises CheckpointError if run.json or the config is damaged; no other file is needed.
    """
    about, config = read_json(folder.about), folder.stored_config()
    ended = folder.read_summary() if summary is None else summary
    lines = list(read_metrics(folder.metrics))
    steps = [line for line in lines if line["kind"] == "step"]
    images = about.get("images") or {}
    task = config.get("task")
    return History(
        epochs=[_epoch(line) for line in lines if line["kind"] == "epoch"],
        steps=[_step(line) for line in steps],
        task=str(ended.get("task") or (task.get("name") if isinstance(task, Mapping) else None) or "single"),
        classes=tuple(map(str, about.get("classes", ()))),
        train_images=images.get("train"),
        val_images=images.get("validation"),
        images_of_each=tuple(about.get("images_of_each") or ()),
        steps_per_epoch=steps[-1].get("steps_per_epoch") if steps else None,
        epochs_planned=config.get("epochs"),
        status="diverged" if ended.get("exit_code") == DivergedError.exit_code else ended.get("status"),
        error=ended.get("message"),
        config=config,
        about=about,
        summary=ended,
    )


def _step(line: Mapping[str, Any]) -> Step:
    known = ("kind", "step", "epoch", "steps_per_epoch", "seconds", "loss", "lr", "gradient_norm")
    return Step(
        number=line["step"],
        epoch=line["epoch"],
        loss=line.get("loss"),
        score=next((value for key, value in line.items() if key not in known), None),
        lr=line.get("lr"),
        gradient_norm=line.get("gradient_norm"),
    )


def _epoch(line: Mapping[str, Any]) -> Epoch:
    return Epoch(
        number=line["epoch"],
        train_loss=line.get("train_loss"),
        train_score=_score(line, "train_"),
        val_loss=line.get("val_loss"),
        val_objective=line.get("val_objective"),
        val_score=_score(line, "val_"),
        lr=line.get("lr"),
        seconds=line.get("train_seconds"),
        vitals=_vitals(line.get("vitals") or {}),
    )


def _score(line: Mapping[str, Any], part: str) -> float | None:
    """The score of the task, whatever that calls it."""
    return next(
        (value for key, value in line.items() if key.startswith(part) and key[len(part) :] not in _NO_SCORES), None
    )


def _vitals(told: Mapping[str, Any]) -> Vitals:
    """Of a run of an earlier release: nothing."""
    return Vitals(
        gradient_norm=told.get("gradient_norm"),
        updates=_known(told.get("updates") or {}),
        layers=[_layer(layer) for layer in told.get("layers") or ()],
        recall=tuple(told.get("recall") or ()),
        commonest=told.get("commonest"),
        waited=told.get("waited"),
    )


def _layer(told: Mapping[str, Any]) -> Layer:
    """Records have null for a figure that is too large for a number."""
    figures = (told[key] for key in ("mean", "std", "dead"))
    return Layer(told["name"], *(math.inf if figure is None else figure for figure in figures))


def _known(updates: Mapping[str, float | None]) -> dict[str, float]:
    return {stage: ratio for stage, ratio in updates.items() if ratio is not None}
