"""What a run has pictures of at its end: what the model saw in training, and what it gets wrong."""

from dataclasses import replace

import torch
from torch import Tensor

from trainer.build.training import Job
from trainer.engine.checkpoint import Checkpoints
from trainer.feed.batches import EvalBatches, one_by_one
from trainer.feed.store import Store
from trainer.feed.stream import StreamedStore
from trainer.inference.judges import judge_of
from trainer.inference.worst import MOST, with_pictures
from trainer.parallel.sharded import is_sharded
from trainer.records.folder import RunFolder
from trainer.report.page.facts import facts_of
from trainer.report.page.pictures import Mistake, Pictures, Sample, drawn, write_pictures
from trainer.report.page.write import write_run_page
from trainer.report.samples import labels_in_words, mixture_in_words, of_many_classes
from trainer.rng import Draws
from trainer.task.task import Verdicts

_SAMPLES = 6


def draw_page(folder: RunFolder, job: Job, part: str, answers: Verdicts | None, validation: Verdicts | None) -> None:
    """Writes report.html, and the pictures in it for when it is drawn again. part and so on: as `pictures_of` has them.

    The model takes the best weights, where there are any. Where it is shared out, mistakes have no pictures.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    if is_sharded(next(job.state.model.parameters())):
        answers = None  # the pictures of mistakes ask the model, of which this process holds a part
    elif checkpoints.has_best:
        job.state.model.load_state_dict(checkpoints.load_best()["model"])
    pictures = pictures_of(job, part, answers, validation)
    write_pictures(folder.pictures, pictures)
    write_run_page(facts_of(folder), pictures, folder.report)


def pictures_of(job: Job, part: str, answers: Verdicts | None, validation: Verdicts | None) -> Pictures:
    """The pictures for the page. part: validation | test; answers: those of the weights that the model holds, on it.

    validation: theirs in validation, where thresholds are chosen.
    """
    batches = job.test_batches if part == "test" else job.val_batches
    mistakes = () if answers is None or batches is None else _mistakes(job, batches, answers, validation)
    headings, samples = _samples(job)
    return Pictures(headings, samples, part, mistakes)


def _mistakes(job: Job, batches: EvalBatches, answers: Verdicts, validation: Verdicts | None) -> tuple[Mistake, ...]:
    task, classes = job.recipe.criterion.task, job.about["classes"]
    judge = judge_of(task)
    found = judge.surest_mistakes(answers, task, validation, MOST)
    if not found:
        return ()
    told = [judge.mistake(answers, place, wrong, classes, batches.store.keys[place]) for place, wrong in found]
    images = batches.transform(batches.upload(_pixels(batches.store, torch.tensor([place for place, _ in found]))))
    return with_pictures(job.state.model, images, job.normalisation, told, classes)


def _samples(job: Job) -> tuple[tuple[str, ...], tuple[Sample, ...]]:
    """A few training images as they are, and as they came out of some epochs. Headings, and a row for each.

    Where images were mixed, only the last epoch is shown: what it mixed is known from its whole batch alone.
    """
    last, mixes = job.plan.epochs, job.batches.mix is not None
    labels = job.batches.store.labels
    chosen = torch.tensor(of_many_classes(labels, job.batches.orders(last - 1)[0].tolist(), _SAMPLES))
    epochs = sorted({1, min(2, last), last})
    if mixes:
        epochs = [last] if job.batches.store.resident else []  # to decode a whole batch takes too long
    original = job.val_batches.transform(job.val_batches.upload(_pixels(job.batches.store, chosen)))
    columns = [(_shown(job, original), [""] * len(chosen))]
    columns += [_mixed(job, chosen) if mixes else (_seen(job, chosen, epoch), [""] * len(chosen)) for epoch in epochs]
    names = labels_in_words(labels[chosen], job.about["classes"])
    rows = zip(*(zip(*column, strict=True) for column in columns), strict=True)
    samples = tuple(Sample(name, tuple(row)) for name, row in zip(names, rows, strict=True))
    return ("original", *(f"epoch {epoch}" for epoch in epochs)), samples


def _seen(job: Job, chosen: Tensor, epoch: int) -> list[str]:
    """The samples as that epoch (from 1) had them: it depends on nothing else."""
    batches, draws = job.batches, Draws(job.batches.seed, epoch - 1, chosen)
    images = _pixels(batches.store, chosen)
    if batches.item is not None:
        images = one_by_one(batches.item, images, draws)
    return _shown(job, batches.transform(batches.upload(images), draws))


def _mixed(job: Job, chosen: Tensor) -> tuple[list[str], list[str]]:
    """The samples in the first batch of the last epoch, and in words what each is a mixture of."""
    batch = next(iter(job.batches.whole.epoch(job.plan.epochs - 1)))
    rows = [batch.indices.tolist().index(index) for index in chosen.tolist()]
    words = [mixture_in_words(targets, job.about["classes"]) for targets in batch.targets[rows]]
    return _shown(job, batch.images[rows]), words


def _shown(job: Job, images: Tensor) -> list[str]:
    return [drawn(image) for image in job.normalisation.undone(images.float()).clamp(0, 1).cpu()]


def _pixels(store: Store, places: Tensor) -> Tensor:
    """A few images, uint8 (B, C, H, W), read in this process: others would take longer to start."""
    here = replace(store, workers=0) if isinstance(store, StreamedStore) else store
    return next(iter(here.gather([places])))
