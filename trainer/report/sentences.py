"""The lines that open, accompany and close a run."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import Config
from trainer.engine.checkpoint import BEST
from trainer.engine.loop import EpochReport
from trainer.engine.metrics import same_loss
from trainer.engine.probe import Probed
from trainer.errors import visible
from trainer.records.folder import RunFolder
from trainer.report.page.wordings import of_training, wording_of
from trainer.size import size_of
from trainer.task.task import Task

_FEW_CLASSES = 4
_LONG_NAME = 40

_WORDS = 4
"""Of what an augmentation does; the whole list is in run.json."""


def opening(config: Config, about: dict[str, Any], folder: Path) -> list[str]:
    """What will be trained on what, and where it goes."""
    images, seen = about["images"], about["preprocessing"]
    names = {room: choice.name for room, choice in config.parts.items()}
    counts = ", ".join(f"{count:,} {part}" for part, count in images.items() if count)
    words = about["augmentation"]
    does = f" ({', '.join([*words[:_WORDS], *['…'] * (len(words) > _WORDS)])})" if words else ""
    colour = "grey" if seen["channels"] == 1 else "colour"
    return [
        f"{names['data']}: {counts} images, {colour}, {size_of(seen['size']).in_pixels}, {_classes(about['classes'])}; "
        f"normalise {seen['normalise']}: mean {_numbers(seen['mean'])}, std {_numbers(seen['std'])}",
        f"{names['model']}: {about['parameters']:,} parameters, init {names['init']}; "
        f"{names['loss']}, {names['optim']}, {names['sched']}, aug {names['aug']}{does}; "
        f"{about['precision']} on {about['device']}, {_processes(about)}{_threads(about)}",
        f"run folder: {folder}",
    ]


def _processes(about: dict[str, Any]) -> str:
    """How many train together, where it is more than one."""
    return f"{about['processes']} processes of " if about["processes"] > 1 else ""


def _threads(about: dict[str, Any]) -> str:
    return f"{about['threads']} thread{'s' * (about['threads'] != 1)}"


def _classes(names: Sequence[str]) -> str:
    """How many there are, and the first few by name, so that folders taken for classes by mistake are seen at once."""
    shown = [visible(name) for name in (names if len(names) <= _FEW_CLASSES else names[: _FEW_CLASSES - 1])]
    shown = [name if len(name) <= _LONG_NAME else f"{name[: _LONG_NAME - 1]}…" for name in shown]
    return f"{len(names)} classes ({', '.join([*shown, *(['…'] if len(names) > len(shown) else [])])})"


def epoch_line(report: EpochReport, task: Task, epochs: int, images_per_second: float) -> str:
    """One line an epoch, the same for a terminal and a log file."""
    seconds, val = report.train_seconds + report.val_seconds, report.val
    objective = "" if same_loss(val.loss, val.objective) else f" objective {_loss(val.objective)}"
    lr = f"  lr {report.lr:.2e}" if report.lr else ""  # a fit has none
    return (
        f"epoch {report.epoch:>{len(str(epochs))}}/{epochs}"
        f"  train loss {_loss(report.train.loss)} {task.step_score} {report.train.score:6.2%}"
        f"  val loss {_loss(val.loss)}{objective} {task.score} {val.score:6.2%}"
        f"{lr}  {images_per_second:,.0f} images/s  {seconds:.1f} s{'  best' if report.is_best else ''}"
    )


def probe_line(probed: Probed) -> str:
    """What the head starts from, or ends as."""
    fitted, (views, images, width) = probed.fitted, probed.features.views.shape
    seen = f"{images:,} images" + (f" in {views} views" if views > 1 else "")
    return (
        f"probe: the last layer fitted to {width:,} features of {seen} ({probed.features.origin}); "
        f"L2 {fitted.l2:.2g}, loss {_loss(fitted.held_out_loss)} on a fifth held out"
    )


def closing(summary: dict[str, Any], folder: RunFolder) -> list[str]:
    """What came out, what it cost, where it lies, and how to go on."""
    best, monitor, lines = summary["best"], summary["monitor"], []
    wording = wording_of(summary.get("task", "single"))
    if best:
        lines.append(f"best {monitor} {_score(monitor, best[monitor])} in epoch {best['epoch']} of {summary['epochs']}")
        lines += [sentence for scores in of_training(summary)[:1] if (sentence := wording.no_better(scores))]
    stopped_early = summary["epochs"] < summary["epochs_planned"]
    if stopped_early:
        left = summary["epochs_planned"] - summary["epochs"]
        lines.append(f"stopped early, {left} epoch{'s' * (left > 1)} before the plan's end")
    if summary["validated_on"] == "test":
        lines.append("selected on the test part (data.val=test): there is no independent test result")
    elif summary["test"]:
        test = summary["test"]
        images = f"{test['images']:,} image{'s' * (test['images'] != 1)}"
        score, name = wording.TASK.score, wording.TASK.score_in_words
        lines.append(f"test {name} {test[score]:.2%} on {images}, measured once, with the weights of that epoch")
    if left_out := summary["skipped_steps"]:
        lines.append(f"{left_out} step{'s' * (left_out > 1)} left out: loss or gradient not finite")
    if rollbacks := summary["rollbacks"]:
        lines.append(f"{rollbacks} rollback{'s' * (rollbacks > 1)}, each with half the rate from there on")
    lines.append(f"{summary['seconds']:.1f} s, {summary['images_per_second']:,.0f} images/s in training")
    more = "early_stop=null" if stopped_early else f"epochs={2 * summary['epochs_planned']}"
    path, resume = folder.path, shlex.quote(f"resume={folder.path}")
    way_on = beyond_probe(folder) if summary["probe"] else f"to train on, python -m trainer {resume} {more}"
    lines.append(f"{path}: {way_on}")
    if best:
        page = f"{folder.report} shows what came out; " if folder.report.exists() else ""
        lines.append(f"{page}to name pictures with it, python -m trainer predict {shlex.quote(str(path))} PICTURES")
    return lines


def beyond_probe(folder: RunFolder) -> str:
    """How to train on from a run that is nothing but the fit of its last layer."""
    words = shlex.quote(f"model.weights={folder.checkpoints / BEST}")
    return f"to train the body too, say its words again with {words} finetune=none"


def _loss(value: float) -> str:
    return f"{value:.4f}" if value < 1000 else f"{value:.1e}"


def _score(monitor: str, value: float) -> str:
    return f"{value:.4f}" if monitor == "val_loss" else f"{value:.2%}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
