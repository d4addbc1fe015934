"""What a run will take, by a few of its steps: seconds an epoch, seconds in all, memory at its most."""

import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from trainer.build.training import Job
from trainer.check.sample import Size
from trainer.engine.memory import give_back_freed_memory
from trainer.finetune.probing import Probing
from trainer.preset.budget import seconds_of_a_step, seconds_of_validation

_GIB = 2**30


@dataclass(frozen=True)
class Cost:
    """Estimates, in seconds and bytes."""

    step: float
    steps: int
    """Of an epoch."""
    validation: float
    epochs: int
    beside: float
    """What the fit of the head and the test part take, once."""
    memory: int
    where: str
    """Whose memory: the process's, or the GPU's."""

    @property
    def epoch(self) -> float:
        return self.step * self.steps + self.validation

    @property
    def whole(self) -> float:
        return self.epoch * self.epochs + self.beside

    def plain(self) -> dict[str, object]:
        """As JSON holds it."""
        seconds = {"seconds_per_epoch": self.epoch, "seconds": self.whole, "seconds_per_step": self.step}
        return {**seconds, "steps_per_epoch": self.steps, "memory_bytes": self.memory, "memory_of": self.where}


def measured(job: Job, size: Size, seconds: float) -> Cost:
    """What a run of this size comes to, by the steps that are taken in about this time. Uses the job's state up.

    A fit of the head is worked out from what validation takes: it is one look at all training images. Whole is without
    what images take to be decoded once, which has been done by now, and without the page at the end.
    """
    _forget_peak(job)
    alone = job.recipe.probe is not None and job.recipe.probe.alone
    an_image = seconds_of_validation(job) / len(job.val_batches.store)
    step = 0.0 if alone else seconds_of_a_step(job, seconds)
    how = job.recipe.begin_epoch
    looks = size.train * (1 + how.views) if isinstance(how, Probing) else 0
    beside, validation = an_image * (looks + size.test), an_image * size.val
    memory, where = _peak(job)
    return Cost(step, 0 if alone else size.steps, validation, job.plan.epochs, beside, memory, where)


def in_words(cost: Cost) -> list[str]:
    """Two lines."""
    steps = f"{cost.steps:,} steps of {_seconds(cost.step)}, validation {_seconds(cost.validation)}"
    whole = f"{cost.epochs} epoch{'s' * (cost.epochs > 1)} {_seconds(cost.whole)}"
    time = f"an epoch about {_seconds(cost.epoch)} ({steps}), {whole}"
    if not cost.steps:
        time = f"about {_seconds(cost.whole)}: one look at all images, validation {_seconds(cost.validation)}"
    return [f"time: {time}", f"memory: about {cost.memory / _GIB:.2g} GiB of {cost.where} at most"]


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _forget_peak(job: Job) -> None:
    """Lets what is measured be the steps' own, where the system can forget what the process took before."""
    if job.recipe.precision.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    give_back_freed_memory()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak(job: Job) -> tuple[int, str]:
    """Bytes at most, since they were forgotten."""
    if job.recipe.precision.device.type == "cuda":
        return torch.cuda.max_memory_allocated(), "the GPU"
    with suppress(OSError, KeyError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]), "the process"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024), "the process"
