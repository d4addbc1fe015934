"""This trainer, at its default settings: `python -m trainer` with the words that the task takes."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from torch import Tensor

from benchmarks.peers.task import Task
from trainer.build.training import build
from trainer.cli.compose import Origin, compose
from trainer.config import Config, conf_folder


def command(task: Task, folder: Path, seed: int, output: Path, kept: Path) -> list[str]:
    """The whole training. output: the run's folder. kept: where decoded images are kept; empty for a first run."""
    cache = [f"data.cache_dir={kept}"] if task.name == "photographs" else []
    run = [f"output={output.parent}", f"name={output.name}", f"seed={seed}"]
    return [sys.executable, "-m", "trainer", *words(task, folder), *cache, *run]


def accuracy(output: Path) -> float:
    """The validation accuracy after the last epoch."""
    return float(json.loads((output / "summary.json").read_text())["last"]["val_accuracy"])


def words(task: Task, folder: Path) -> list[str]:
    """What says the task; nothing here is for speed."""
    data = (
        ("data=fashion_mnist", f"data.root={folder}", "data.val=test")
        if task.name == "fashion"
        else ("data=folder", f"data.root={folder}", f"data.size={task.size}", "data.normalise=imagenet")
    )
    return [
        *data,
        f"model={task.model}",
        *(f"model.{name}={value}" for name, value in task.options.items()),
        "aug=custom",
        f"aug.flip={task.flip}",
        f"aug.crop={1 - task.crop[0]}",
        f"aug.crop_aspect={task.aspect[1]}",
        f"aug.rotate={task.rotate}",
        f"aug.shift={task.shift}",
        f"aug.zoom={task.zoom}",
        *(["aug.padding=zeros"] if task.zoom > 1 else []),
        "optim=adamw",
        f"optim.lr={task.lr}",
        f"optim.weight_decay={task.weight_decay}",
        "sched=one_cycle",
        f"sched.warmup={task.warmup}",
        f"sched.start={task.start}",
        f"sched.end={task.end}",
        f"epochs={task.epochs}",
        f"batch_size={task.batch_size}",
    ]


def epochs(task: Task, folder: Path, best: bool) -> Iterator[Iterator[Tensor]]:
    """Training images, epoch after epoch, as the model would see them; the model is the least there is."""
    least = ["model=small_cnn", "model.widths=[1]", "limit_val=1", "data.cache=ram"]
    return _epochs(compose([*words(task, folder), *least], Origin(conf_folder())))


def _epochs(config: Config) -> Iterator[Iterator[Tensor]]:
    job = build(config, lambda *_: None, trains=False)  # peers' loaders wait for no kernels
    for epoch in count():
        yield (batch.images for batch in job.batches.epoch(epoch))
