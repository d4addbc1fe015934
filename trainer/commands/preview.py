"""preview: one picture of what a run would see and do, drawn from the very batches that it would train on."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trainer import rng
from trainer.build.training import Job, build
from trainer.config import Config
from trainer.data.source import images_of_each
from trainer.engine.batch import steps_per_epoch
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.preview import Cell, Preview, draw_preview
from trainer.report.samples import labels_in_words, mixture_in_words, of_many_classes
from trainer.sched.schedule import Plateau
from trainer.settings import Settings

_ROWS = 6
_COLUMNS = 6
_POINTS = 1000


def run(config: Config) -> int:
    """Writes the picture to output, if that is a .png, or else to output/preview.png. Returns 0."""
    screen = Screen()
    settled = settle(config, screen.counting, trains=False)
    config = settled.config
    few = replace(config, settings=replace(config.settings, workers=0))  # a few images alone
    job = build(few, screen.counting, trains=False)
    for note in (*settled.lines, *job.notes):
        screen.say(note)
    epochs = _epochs(config.settings.epochs)
    picture = _place(config.settings)
    draw_preview(preview_of(job, epochs), picture)
    shown = ", ".join(str(epoch) for epoch in epochs)
    screen.say(f"{picture}: training images as the model sees them in epochs {shown}; the learning rate; class counts")
    return 0


def preview_of(job: Job, epochs: list[int]) -> Preview:
    """What is to be drawn of a run; epochs count from 1."""
    samples = _chosen(job)
    columns = [[_original(job, sample) for sample in samples]]
    columns += [_as_seen(job, samples, epoch) for epoch in epochs]
    classes = job.about["classes"]
    names = labels_in_words(job.batches.store.labels[samples], classes)
    title = "learning rate" + (" (falls when progress stops)" if isinstance(job.recipe.schedule, Plateau) else "")
    return Preview(
        headings=["original", *[f"epoch {epoch}" for epoch in epochs]],
        rows=list(zip(names, map(list, zip(*columns, strict=True)), strict=True)),
        rates=_rates(job),
        counts={
            "training": _counts(job.batches.store.labels, classes),
            "validation": _counts(job.val_batches.store.labels, classes),
        },
        rate_title=title,
    )


def _place(settings: Settings) -> Path:
    output = Path(settings.output)
    if output.suffix.lower() == ".png":
        return output
    return output / (f"{settings.name}-preview.png" if settings.name else "preview.png")


def _epochs(epochs: int) -> list[int]:
    """The first ones, and the last."""
    return sorted({*range(1, min(epochs, _COLUMNS - 2) + 1), epochs})


def _chosen(job: Job) -> list[int]:
    """A few training images, the same every time, of as many classes as can be."""
    labels = job.batches.store.labels
    return of_many_classes(labels, rng.permutation(len(labels), "preview").tolist(), _ROWS)


def _original(job: Job, sample: int) -> Cell:
    """The image as it is stored, only brought to the size that the model sees."""
    batches = job.val_batches
    stored = next(iter(job.batches.store.gather([torch.tensor([sample])])))
    return Cell(_visible(job, batches.transform(batches.upload(stored)))[0])


def _as_seen(job: Job, samples: list[int], epoch: int) -> list[Cell]:
    """The samples as they come out of the epoch's batches, mixed with whom they are mixed with."""
    orders = job.batches.orders(epoch - 1)
    number_of = {sample: number for number, order in enumerate(orders) for sample in order.tolist()}
    cells = {}
    for number in sorted({number_of[sample] for sample in samples}):
        batch = next(iter(job.batches.epoch(epoch - 1, start=number)))
        images, indices = _visible(job, batch.images), batch.indices.tolist()
        for sample in {*samples} & {*indices}:
            row = indices.index(sample)
            cells[sample] = Cell(images[row], mixture_in_words(batch.targets[row], job.about["classes"]))
    return [cells[sample] for sample in samples]


def _visible(job: Job, images: Tensor) -> Tensor:
    return job.normalisation.undone(images.float()).clamp(0, 1).cpu()


def _rates(job: Job) -> dict[str, tuple[list[float], list[float]]]:
    """The schedule over the run for the largest base rate, and for the smallest if there are several."""
    per_epoch = steps_per_epoch(job.batches)
    total = job.plan.epochs * per_epoch
    steps = range(0, total, -(-total // _POINTS))
    bases = sorted({float(group["initial_lr"]) for group in job.state.optimizer.param_groups}, reverse=True)
    ends = bases[:1] + bases[1:][-1:]
    return {
        f"base {base:.3g}": ([step / per_epoch for step in steps], [base * job.recipe.schedule(step) for step in steps])
        for base in ends
    }


def _counts(labels: Tensor, classes: list[str]) -> dict[str, int]:
    return dict(zip(classes, images_of_each(labels, len(classes)).tolist(), strict=True))
