"""How fast a training on the device is: its steps beside a loop by hand, what it waits for, and what feeds it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import engine
from benchmarks.engine import Pair, bare_loop
from benchmarks.gpu import airbench
from benchmarks.gpu.checks import Place
from benchmarks.rates import Ratio, finish, in_turn
from trainer.build import training
from trainer.build.training import Job
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.data.assemble import Wishes, assemble
from trainer.data.keep import Keep
from trainer.data.source import ArraySamples, Source
from trainer.engine.device import ahead, make_repeatable
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.registry import MODELS
from trainer.schema import Cache
from trainer.size import Size

Row = tuple[str, str, str]
"""Ours, what stands beside it, and the ratio (least, greatest)."""


def speeds(place: Place) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Each by its name, to be measured when it is called."""
    models = (("small_cnn", 8),) if place.small else (("small_cnn", 32), ("xresnet18", 64), ("xresnet50", 64))
    for name, size in models:
        yield f"steps of {name} at {size} px over a loop by hand", partial(_steps, place, name, size)
    for aug in ("light", "strong"):
        for cache in ("ram", "auto") if place.device == "cuda" else ("ram",):
            yield f"feeding alone, aug={aug} data.cache={cache}", partial(_feeding, place, aug, cache)
    for name, _ in models:
        yield f"share of the time that the device waits, {name}", partial(_waiting, place, name)
    yield "deterministic=true over false", partial(_determinism, place, *models[-1])
    yield "50,000 images of 32 px, all of a training over a loop by hand", partial(_small_images, place)
    for optim in ("muon",) if place.small else ("muon", "sgd"):
        yield f"experiment=cifar10_fast optim={optim} over airbench's network by hand", partial(_airbench, place, optim)


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


def _job(place: Place, *words: str, size: int = 32, batch_size: int = 1_000, cache: Cache = "auto") -> Job:
    """A run whose images are as many and as large as CIFAR's, or hardly any. They are noise: drawing takes long."""
    small = [f"batch_size={16 if place.small else batch_size}", "data=glyphs"]
    told = [f"device={place.device}", "preset=none", "kernels=torch", *words, *small]
    source = replace(_noise(96 if place.small else 50_000, size), keep=Keep(cache))
    with patch.object(training, "open_source", lambda config: source):
        return training.build(compose(told, Origin(conf_folder())), lambda *_: None)


@lru_cache(maxsize=1)
def _noise(count: int, size: int) -> Source:
    """So many images to train on, and a fifth of that to validate on."""
    parts = {
        part: ArraySamples(
            torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8),
            torch.arange(images) % 10,
            [str(each) for each in range(images)],
        )
        for part, images in (("train", count), ("test", count // 5))
    }
    return assemble([str(digit) for digit in range(10)], parts, Wishes(val="test"), size=Size(size, size))


def _epoch(job: Job) -> int:
    """Trains for an epoch, and tells its images."""
    job.state.step, job.state.epoch = 0, 0
    return sum(train_epoch(job.state, job.batches, job.recipe, Interrupt()))


def _feeding(place: Place, aug: str, cache: Cache) -> Row:
    job = _job(place, f"aug={aug}", size=12 if place.small else 32, cache=cache)

    def fed() -> float:
        begun = time.perf_counter()
        images = sum(len(batch.labels) for batch in ahead(job.batches.epoch(0), job.state.device))
        finish()
        return images / (time.perf_counter() - begun)

    fed()
    return f"{fed():,.0f} images/s", "", ""


def _waiting(place: Place, name: str) -> Row:
    job = _job(place, f"model={name}", size=12 if place.small else 32)
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
    job = _job(place, f"model={name}", size=12 if place.small else 32)

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
    job = _job(place, size=12 if place.small else 32)
    device, first = job.state.device, next(iter(job.batches.epoch(0)))
    model = MODELS.builder("small_cnn")(10, first.images.shape[1]).to(device, memory_format=torch.channels_last)
    bare = bare_loop(model, Pair(first.images.float(), first.labels))
    steps = len(job.batches)
    return _words(in_turn(lambda: _epoch(job), lambda: bare(steps), rounds=1 if place.small else 5))


def _airbench(place: Place, optim: str) -> Row:
    """Our recipe of its ideas in its batches of 1,024; muon is the recipe's own optimizer, and sgd is airbench's."""
    widths = (8, 8, 8) if place.small else airbench.WIDTHS
    words = ("experiment=cifar10_fast", f"optim={optim}", f"model.widths={[airbench.WHITENING, *widths]}")
    job = _job(place, *words, batch_size=1_024)
    source = _noise(96 if place.small else 50_000, 32).train
    images, labels = (source.pixels.to(job.state.device), source.labels.to(job.state.device))
    theirs = airbench.epochs_of(images, labels, 16 if place.small else 1_024, widths)
    return _words(in_turn(lambda: _epoch(job), theirs, rounds=1 if place.small else 5))
