"""How fast a training on the device is: its steps beside a loop by hand, what it waits for, and what feeds it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import engine
from benchmarks.engine import Pair, bare_loop
from benchmarks.gpu.checks import Place
from benchmarks.rates import Ratio, finish, in_turn
from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.engine.device import ahead, make_repeatable
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.registry import MODELS

Row = tuple[str, str, str]
"""Ours, what stands beside it, and the ratio (least, greatest)."""


def speeds(place: Place) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Each by its name, to be measured when it is called."""
    models = (("small_cnn", 8),) if place.small else (("small_cnn", 32), ("xresnet18", 64), ("xresnet50", 64))
    for name, size in models:
        yield f"steps of {name} at {size} px over a loop by hand", partial(_steps, place, name, size)
    for aug in ("light", "strong"):
        yield f"feeding alone, aug={aug}", partial(_feeding, place, aug)
    for name, _ in models:
        yield f"share of the time that the device waits, {name}", partial(_waiting, place, name)
    yield "deterministic=true over false", partial(_determinism, place, *models[-1])
    yield "50,000 images of 32 px, all of a training over a loop by hand", partial(_small_images, place)


def _words(ratio: Ratio) -> tuple[str, str, str]:
    rates = f"{ratio.ours:,.0f} images/s", f"{ratio.theirs:,.0f} images/s"
    return *rates, f"{ratio.median:.2f} ({ratio.least:.2f}, {ratio.greatest:.2f})"


@contextmanager
def _shorter(place: Place) -> Iterator[None]:
    """Batches and turns as small as can be, where it is only seen whether it runs."""
    before = engine.BATCH, engine.STEPS, engine.TURNS
    engine.BATCH, engine.STEPS, engine.TURNS = (8, 1, 1) if place.small else (256, 20, 2)
    try:
        yield
    finally:
        engine.BATCH, engine.STEPS, engine.TURNS = before


def _steps(place: Place, name: str, size: int) -> Row:
    with _shorter(place):
        return _words(engine.engine_over_bare(name, size, device=place.device, rounds=1 if place.small else 7))


def _job(place: Place, *words: str) -> Job:
    """A run whose images are as many and as large as CIFAR's, or hardly any."""
    images, size, batch = (96, 12, 16) if place.small else (50_000, 32, 1_000)
    data = (f"data.images={images}", f"data.size={size}", f"batch_size={batch}", "data.classes=10", "data.cache=ram")
    told = [f"device={place.device}", "preset=none", "kernels=torch", *data, *words]
    return build(compose(told, Origin(conf_folder())), lambda *_: None)


def _epoch(job: Job) -> int:
    """Trains for an epoch, and tells its images."""
    job.state.step, job.state.epoch = 0, 0
    return sum(train_epoch(job.state, job.batches, job.recipe, Interrupt()))


def _feeding(place: Place, aug: str) -> Row:
    job = _job(place, f"aug={aug}")

    def fed() -> float:
        begun = time.perf_counter()
        images = sum(len(batch.labels) for batch in ahead(job.batches.epoch(0), job.state.device))
        finish()
        return images / (time.perf_counter() - begun)

    fed()
    return f"{fed():,.0f} images/s", "", ""


def _waiting(place: Place, name: str) -> Row:
    job = _job(place, f"model={name}")
    _epoch(job)
    finish()
    on_gpu = place.device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU], acc_events=True) as seen:
        begun = time.perf_counter()
        _epoch(job)
        finish()
        seconds = time.perf_counter() - begun
    busy = sum(each.self_device_time_total for each in seen.key_averages()) / 1e6
    waits = f"{1 - busy / seconds:.0%}" if on_gpu else "no GPU"
    return waits, f"{seconds:.2f} s an epoch", ""


def _determinism(place: Place, name: str, size: int) -> Row:
    device = torch.device(place.device)
    job = _job(place, f"model={name}")

    def epoch(deterministic: bool) -> int:
        make_repeatable(device, deterministic=deterministic)
        return _epoch(job)

    try:
        ratio = in_turn(lambda: epoch(True), lambda: epoch(False), rounds=1 if place.small else 3)
    finally:
        make_repeatable(device)
    return _words(ratio)


def _small_images(place: Place) -> Row:
    """As many images as airbench's task has, in batches of 1,000; beside the loop by hand, whose images are there."""
    job = _job(place)
    device, first = job.state.device, next(iter(job.batches.epoch(0)))
    model = MODELS.builder("small_cnn")(10, first.images.shape[1]).to(device, memory_format=torch.channels_last)
    bare = bare_loop(model, Pair(first.images.float(), first.labels))
    steps = len(job.batches)
    return _words(in_turn(lambda: _epoch(job), lambda: bare(steps), rounds=1 if place.small else 5))
