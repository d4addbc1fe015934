"""Short trainings before a run: each is the run in small, and begins where it will begin."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from shared import TINY, Ended, lines_of
from torch import nn

from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.engine.interrupt import Interrupt
from trainer.engine.short_training import Rehearsal, excerpt


def job_of(*words: str) -> Job:
    return build(compose([*TINY, *words], Origin(conf_folder())), lambda *_: None)


def rehearsal_of(job: Job) -> Rehearsal:
    return Rehearsal.of(job.state, job.batches, job.val_batches.few, job.recipe, job.plan.epochs)


def loss(rehearsal: Rehearsal, rate: float, steps: int) -> float:
    reached = rehearsal.reached(rate, steps, Interrupt())
    assert reached is not None
    return reached.loss


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("ema=0.9", "accumulate=2", "optim.stage_decay=0.5"),
        ("optim=sgd", "optim.decay=decoupled", "optim.weight_decay=0.1", "sched=step", "task=multi"),
        ("optim=muon", "sched=constant", "aug=strong"),
    ],
)
def test_a_training_of_all_the_steps_is_the_run(train: Callable[..., Ended], tmp_path: Path, words: tuple[str]) -> None:
    assert train(*words, "optim.lr=0.02", "name=x").code == 0
    expected = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")[-1]["val_loss"]
    rehearsal = rehearsal_of(job_of(*words, "optim.lr=0.005"))
    assert loss(rehearsal, 0.02, rehearsal.total_steps) == expected


def test_each_training_begins_anew() -> None:
    rehearsal = rehearsal_of(job_of("ema=0.9"))
    before = loss(rehearsal, 0.01, 0)
    first = loss(rehearsal, 0.01, 6)
    assert rehearsal.reached(1e30, 6, Interrupt()) is None  # weights, averages and memories are no numbers now
    assert loss(rehearsal, 0.01, 6) == first != before
    assert loss(rehearsal, 0.5, 0) == before


@pytest.mark.parametrize(("epochs", "steps", "expected"), [(2, 6, [0, 1]), (10, 4, [0, 2, 5, 7]), (3, 1, [0])])
def test_an_excerpt_lies_evenly_over_the_epochs(epochs: int, steps: int, expected: list[int]) -> None:
    part = excerpt(job_of().batches, epochs, steps)
    assert part.epochs == expected
    assert len(part.epochs) * part.steps == steps == sum(1 for epoch in range(len(expected)) for _ in part.epoch(epoch))


def test_a_short_training_runs_through_the_schedule_and_the_epochs_of_the_run() -> None:
    job = job_of("epochs=10")
    entered, asked = list[int](), list[int]()

    def begin_epoch(model: nn.Module, epoch: int) -> None:
        entered.append(epoch)
        model.train()

    def schedule(step: int) -> float:
        asked.append(step)
        return 1.0

    job = replace(job, recipe=replace(job.recipe, schedule=schedule, begin_epoch=begin_epoch))
    loss(rehearsal_of(job), 0.01, 20)  # of 60
    assert entered == list(range(10))
    assert asked == list(range(1, 60, 3))
    assert all(after > before for before, after in pairwise(asked))


def test_validation_takes_samples_from_all_of_the_set() -> None:
    batches = job_of("data.images=400", "data.val=0.5", "batch_size=7").val_batches
    few = batches.few(20)
    indices = torch.cat([batch.indices for batch in few])
    assert len(indices) == 20 and len(few) == 3
    assert indices.tolist() == [number * len(batches.samples) // 20 for number in range(20)]
    assert len(batches.few(999).samples) == len(batches.samples)
