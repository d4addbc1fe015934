"""Settings and parts that are each right and cannot act together. `contradictions` has those within a data part."""

from collections.abc import Mapping
from pathlib import Path

from trainer.settings import SCORES, Choice, Settings

_ONE_LABEL = ("cross_entropy", "mse", "l1")
"""Losses that ask for the one class of a picture."""
_OF_WHOLE_WEIGHTS = ("muon", "lamb")
"""Optimizers whose step of a weight depends on all of its numbers."""


def is_probe(parts: Mapping[str, Choice | None]) -> bool:
    """Whether a run of these parts is one fit of the last layer."""
    finetune = parts.get("finetune")
    return finetune is not None and finetune.name == "probe"


def of_settings(settings: Settings, *, epochs_are_known: bool) -> list[str]:
    """Settings that are each right and cannot act together."""
    lines = []
    if settings.name is not None and not _is_inside(settings.name):
        lines.append(f"name: {settings.name!r} names no folder inside output. Choose that with output=FOLDER.")
    if epochs_are_known and settings.early_stop is not None and settings.early_stop >= settings.epochs:
        lines.append(
            f"early_stop: {settings.early_stop} epochs without progress cannot happen in epochs={settings.epochs}. "
            f"Lower it, or raise epochs."
        )
    if settings.trackers == ["tensorboard"] and (settings.track_weights or settings.track_project):
        key = "track_weights" if settings.track_weights else "track_project"
        lines.append(
            f"{key}: TensorBoard's files have no place for it. Leave it out, or name a tracker beside that has one: "
            f"track=[tensorboard,mlflow]."
        )
    return lines + beyond_device(settings, settings.device)


def beyond_device(settings: Settings, device: str, cache: str = "auto") -> list[str]:
    """What is asked of a device (cpu | cuda | mps) and it cannot do; of auto, once one is chosen. cache: data.cache."""
    lines = []
    if device in ("cpu", "mps") and settings.precision == "tf32":
        lines.append(f"precision: tf32 is a way of CUDA's to multiply, which {device} lacks. Use precision=fp32.")
    if device == "mps" and settings.precision == "fp16":
        lines.append("precision: fp16 needs a gradient scaler, which mps lacks. Use precision=bf16 or fp32.")
    if device == "mps" and settings.on_nonfinite == "skip":
        lines.append("on_nonfinite: skip needs a gradient scaler, which mps lacks. Use on_nonfinite=rollback or stop.")
    if device != "cuda" and cache == "device":
        lines.append(
            f"data.cache: device is the memory of a CUDA GPU, and this run is on {device}. Use data.cache=auto."
        )
    return lines


def of_parts(settings: Settings, parts: Mapping[str, Choice | None]) -> list[str]:
    """Parts that are each right and cannot act together."""
    lines = []
    lines += _of_task(settings, parts)
    lines += _of_shards(settings, parts)
    model, init, sched, finetune = (parts.get(room) for room in ("model", "init", "sched", "finetune"))
    weights = model.options.get("weights") if model else None
    if model and finetune and finetune.name != "none" and weights is None:
        lines.append(
            f"finetune: '{finetune.name}' would freeze a body that has learnt nothing: model '{model.name}' loads no "
            f"weights. Say model.weights=FILE, or finetune=none."
        )
    optim = parts.get("optim")
    if optim and optim.options.get("lr") == "auto" and is_probe(parts):
        lines.append(
            "optim.lr: auto cannot act with finetune=probe, which takes no steps. Leave it out, or say "
            "finetune=probe_first."
        )
    data = parts.get("data")
    if model and data and data.options.get("val") == "none":
        lines.append(
            "data.val: none holds nothing out, which is for scoring a set as a whole. Give a share to train: 0.1."
        )
    if init and init.name != "keep" and weights is not None:
        lines.append(f"init: '{init.name}' would overwrite what model.weights loads. Use init=keep.")
    if sched and sched.name == "plateau" and not is_probe(parts):
        patience = sched.options["patience"]
        if isinstance(patience, int) and settings.epochs < patience + 2:
            lines.append(
                f"sched.patience: a rate that waits for {patience} epochs without progress cannot fall in "
                f"epochs={settings.epochs}. Lower it, or raise epochs to {patience + 2} at least."
            )
        if isinstance(patience, int) and settings.early_stop is not None and settings.early_stop <= patience:
            lines.append(
                f"sched.patience: early_stop={settings.early_stop} ends the run before the rate falls. "
                f"Set early_stop={patience + 1} at least, or lower sched.patience."
            )
    return lines


def _of_shards(settings: Settings, parts: Mapping[str, Choice | None]) -> list[str]:
    """What cannot be where each process holds a part of the model."""
    optim, finetune, lines = parts.get("optim"), parts.get("finetune"), list[str]()
    if settings.parallel != "fsdp":
        return []
    for key, value, free in (
        ("on_nonfinite", settings.on_nonfinite, "stop"),
        ("precision", settings.precision if settings.precision == "fp16" else "", ""),
        ("compile", settings.compile, False),
        ("finetune", finetune.name if finetune else "none", "none"),
    ):
        if value != free:
            lines.append(f"{key}: {value} cannot act with parallel=fsdp. Leave it out, or use parallel=ddp.")
    if optim and optim.name in _OF_WHOLE_WEIGHTS:
        lines.append(
            f"optim: '{optim.name}' works on whole weights, of which parallel=fsdp leaves each process a part. "
            "Use optim=adamw, or parallel=ddp."
        )
    return lines


def other_loss(loss: str, task: str) -> str:
    """The line about a loss that asks for the labels of another task."""
    if task == "multi":
        return (
            f"loss: {loss} asks for the one class of a picture, and with task=multi it may have several. "
            f"Use loss=binary_cross_entropy or loss=focal."
        )
    return f"loss: {loss} does not learn what task={task} is about. Choose another one: loss=cross_entropy."


def _of_task(settings: Settings, parts: Mapping[str, Choice | None]) -> list[str]:
    """What the task cannot be scored by, and data that say that they have labels of another one."""
    task, data, lines = parts.get("task"), parts.get("data"), list[str]()
    if task is None:
        return []
    if task.name not in SCORES:
        return [
            f"task: '{task.name}' is a plugin's, and no task can be yet: how its answers are told is not known. "
            f"Choose task={' or task='.join(SCORES)}."
        ]
    score = SCORES[task.name]
    if settings.monitor not in (None, "val_loss", score):
        lines.append(f"monitor: {settings.monitor} is no score of task={task.name}. Use {score}, val_loss or null.")
    loss = parts.get("loss")
    if task.name == "multi" and loss and loss.name in _ONE_LABEL:
        lines.append(other_loss(loss.name, task.name))
    labels = data.options.get("labels") if data else None
    wanted = {"single": "one", "multi": "several"}.get(task.name)
    if labels is not None and labels != wanted:
        other = {"one": "single", "several": "multi"}[labels]
        lines.append(
            f"data.labels: {labels} is not what task={task.name} learns. Say task={other}, or data.labels={wanted}."
        )
    return lines


def _is_inside(name: str) -> bool:
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
