"""From a config to a run that is ready to start: the one file that knows every room."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer.agreement import beyond_device, other_loss
from trainer.aug.mixing import Mixer
from trainer.aug.policy import Policy
from trainer.aug.sampling import blended
from trainer.build.data import carry, open_parts, open_source
from trainer.build.features import BodyOf, FrozenFeatures, Pictures, last_layer, probe_of
from trainer.build.gaps import without_gaps
from trainer.build.model import build_model, choose_blend, choose_kernels
from trainer.build.notes import beneath_the_fit, idle, on_data, pace, patience, rates, resolution, weights
from trainer.build.parts import build_part
from trainer.config import Config
from trainer.data.fingerprint import fingerprint, part_fingerprint
from trainer.data.limits import limited
from trainer.data.listing import listing
from trainer.data.source import Source
from trainer.engine.batch import steps_per_epoch
from trainer.engine.device import about_gpu, choose_device, make_repeatable
from trainer.engine.loop import Plan, Recipe
from trainer.engine.memory import keep_freed_memory
from trainer.engine.precision import Precision, choose_precision
from trainer.engine.probe import Probe
from trainer.engine.state import State
from trainer.errors import ConfigError, DataError, told
from trainer.feed.batches import EvalBatches, TrainBatches
from trainer.feed.normalise import Normalisation, measure
from trainer.feed.pack import Progress
from trainer.feed.preprocessing import Preprocessing, of_source
from trainer.feed.store import Store
from trainer.finetune.freezing import BeginEpoch
from trainer.finetune.probing import Probing
from trainer.kernels.use import Used
from trainer.loss.criterion import Criterion
from trainer.model.staged import check_single
from trainer.model.weights import renew_head
from trainer.parallel.batch_norm import share_norms
from trainer.parallel.place import Place
from trainer.parallel.ranks import ALONE, Ranks
from trainer.sched.schedule import Schedule, last_rise
from trainer.settings import Settings
from trainer.system.garbage import begin_collecting
from trainer.system.upload import upload
from trainer.task.task import Task

_LOOKED_AT = 32
"""Validation images, spread over all of them, whose activations are looked at: enough to tell which units are dead."""


@dataclass(frozen=True)
class Job:
    """A run that is ready to start."""

    state: State
    batches: TrainBatches
    val_batches: EvalBatches
    test_batches: EvalBatches | None
    normalisation: Normalisation
    recipe: Recipe
    plan: Plan
    about: dict[str, Any]
    """What run.json tells of the data, the model and the device."""
    notes: tuple[str, ...]
    """What was decided on the way, for the user to read before the run."""
    files: dict[str, str]
    """The files of the data set, each with its class and length."""
    losses: tuple[str, ...]
    """What of the data was left out."""
    left_out: tuple[str, ...]
    """Each file that could not be read and was left out, with the reason."""


def build(config: Config, progress: Progress, *, trains: bool = True, ranks: Ranks = ALONE) -> Job:
    """The run that the config describes. Raises ConfigError, DataError or CheckpointError.

    trains: whether its steps will be taken, so that kernels are worth their compiling. ranks: who takes them.
    """
    begin_collecting()
    settings = config.settings
    device = choose_device(settings.device)
    if lines := beyond_device(settings, device.type, config.parts["data"].options.get("cache", "auto")):
        raise ConfigError("\n".join(lines))
    config, told_of_torch = without_gaps(config, device)
    precision = choose_precision(settings.precision, device)
    make_repeatable(device, deterministic=settings.deterministic)
    precision.set_products()
    keep_freed_memory()

    with ranks.in_turn():  # it may download, unpack, or read shards through
        source = open_source(config)
    with told(source.losses, DataError):
        job = _assembled(config, source, device, precision, progress, trains, ranks)
    return replace(job, notes=(*told_of_torch, *job.notes))


def _assembled(
    config: Config,
    source: Source,
    device: torch.device,
    precision: Precision,
    progress: Progress,
    trains: bool,
    ranks: Ranks,
) -> Job:
    """The run on these data."""
    settings = config.settings
    taken, limits = limited(source, settings.limit_train, settings.limit_val, settings.limit_test)
    with ranks.in_turn():
        stores = open_parts(config, taken, progress, ranks.place)
    preprocessing = of_source(source, measure(stores.train, source))
    policy: Policy = build_part(config, "aug")
    stores = carry(stores, source.keep.cache, device, one_by_one=policy.item is not None)
    train, val, test = stores.train, stores.val, stores.test
    to_device = partial(upload, device=device)
    blend = choose_blend(settings, device, precision.dtype) if trains else blended
    transform = preprocessing.transform(
        policy, device=device, channels_last=settings.channels_last, dtype=precision.dtype, blend=blend
    )
    task: Task = build_part(config, "task")
    mix = Mixer(policy.mix, len(source.classes), task) if policy.mix else None
    batches = _batches(config, train, policy, mix, to_device, transform, ranks.place)
    in_order = partial(EvalBatches, batch_size=settings.batch_size, upload=to_device, transform=transform)
    first = next(iter(train.gather(batches.orders(0)[:1])))  # shuffled: a set may lie in the order of its classes
    looked_at = transform(to_device(first)).float()  # before the run, and so without autocast
    model = build_model(config, len(source.classes), source.channels, looked_at)
    new_head = renew_head(model, config.parts["model"].options, source.classes)
    _check_shares(config, model, looked_at[:1], len(train) // len(batches), ranks.place)
    if settings.sync_batch_norm and not ranks.place.is_alone:
        share_norms(model)
    criterion = _criterion(config, task, train.labels, source.classes)
    if policy.mix and not config.is_probe:
        _check_mixing(config, criterion, batches.batch_size)
    used = choose_kernels(model, settings, device, precision.dtype) if trains else Used()
    averaged = deepcopy(model) if settings.ema > 0 else None
    ranks.shard(model, averaged)
    optimizer = build_part(config, "optim", model)
    schedule = build_part(config, "sched", settings.epochs * steps_per_epoch(batches))
    plan = _plan(config, schedule, steps_per_epoch(batches), -(-len(val) // ranks.place.size))
    finetune = build_part(config, "finetune", len(model.stages), settings.epochs)  # type: ignore[arg-type]
    probe = None
    if trains and isinstance(finetune, Probing):
        pictures = Pictures(taken.train, in_order(train), batches.whole, preprocessing)
        body = BodyOf(last_layer(model, looked_at[:2]), precision, used.name)
        probe = probe_of(finetune, task, FrozenFeatures(config, pictures, finetune.views, body, source.keep, progress))

    return Job(
        state=State.begin(
            model,
            optimizer,
            precision.scaler(skip=settings.on_nonfinite == "skip"),
            averaging=averaged is not None,
            averaged=averaged,
        ),
        batches=batches,
        val_batches=in_order(val, place=ranks.place),
        test_batches=None if test is None else in_order(test, place=ranks.place),
        normalisation=preprocessing.normalisation,
        recipe=_recipe(settings, criterion.to(device), schedule, precision, finetune, probe, ranks),
        plan=plan,
        about={
            **_about_data(source, taken, preprocessing),
            "images_of_each": task.images_of_each(train.labels, len(source.classes)),
            "augmentation": list(policy.words),
            **_about_machine(model, precision, ranks.place),
            "kernels": used.name,
        },
        notes=(
            *on_data(source),
            *limits,
            *stores.notes,
            *getattr(model, "notes", ()),
            *new_head,
            *getattr(finetune, "notes", ()),
            *beneath_the_fit(config.parts["model"].options, finetune),
            *idle(config.parts["aug"].options, source),
            *filter(None, (precision.note, used.note)),
            *(() if config.is_probe else (*rates(optimizer), *patience(plan), *pace(steps_per_epoch(batches)))),
            *resolution(val.labels, task),
            *weights(criterion, source),
        ),
        files=listing(source),
        losses=source.losses,
        left_out=source.left_out,
    )


def _batches(
    config: Config,
    train: Store,
    policy: Policy,
    mix: Mixer | None,
    to_device: Callable[[Tensor], Tensor],
    transform: Callable[..., Tensor],
    place: Place,
) -> TrainBatches:
    """The training images, shuffled, augmented and mixed as the policy says; of a probe all are one step."""
    settings = config.settings
    return TrainBatches(
        train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        accumulate=-(-len(train) // settings.batch_size) if config.is_probe else settings.accumulate,
        upload=to_device,
        transform=transform,
        item=policy.item,
        mix=mix,
        place=place,
    )


def _check_shares(config: Config, model: nn.Module, image: Tensor, smallest: int, place: Place) -> None:
    """Raises ConfigError where a process has no image of the smallest batch, or one, and the model cannot learn so."""
    if smallest < place.size:
        raise ConfigError(
            f"batch_size: it is of all processes together, and the smallest batch has {smallest} images for "
            f"{place.size} of them. Raise it, or start fewer."
        )
    if smallest // place.size == 1 and not (config.settings.sync_batch_norm and not place.is_alone):
        check_single(model, image)


def _about_data(source: Source, taken: Source, preprocessing: Preprocessing) -> dict[str, Any]:
    """What run.json tells of the data: enough to prepare another image as these were. taken: what is used of it."""
    parts = {"train": taken.train, "validation": taken.val, "test": taken.test}
    return {
        "classes": list(source.classes),
        "fingerprint": fingerprint(source),
        "preprocessing": preprocessing.plain(),
        "validation_fingerprint": part_fingerprint(taken.val),
        "images": {part: 0 if samples is None else len(samples) for part, samples in parts.items()},
    }


def _about_machine(model: nn.Module, precision: Precision, place: Place) -> dict[str, Any]:
    """What run.json tells of the arithmetic."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": str(precision.device),
        "precision": precision.name,
        "threads": torch.get_num_threads(),
        "processes": place.size,
        **about_gpu(precision.device),
    }


def _recipe(
    settings: Settings,
    criterion: Criterion,
    schedule: Schedule,
    precision: Precision,
    finetune: BeginEpoch,
    probe: Probe | None,
    ranks: Ranks,
) -> Recipe:
    return Recipe(
        criterion,
        schedule,
        precision,
        finetune,
        probe,
        seed=settings.seed,
        clip_norm=settings.clip_norm,
        ema=settings.ema,
        compile=settings.compile,
        ranks=ranks,
    )


def _plan(config: Config, schedule: Schedule, steps: int, val_images: int) -> Plan:
    """steps: of an epoch. val_images: that this process answers."""
    settings = config.settings
    rise = 0 if settings.early_stop is None else last_rise(schedule, settings.epochs * steps)
    return Plan(
        settings.epochs,
        config.monitor == "val_loss",
        settings.early_stop,
        settings.log_every,
        settings.save_every,
        settings.keep_every,
        rising_epochs=rise // steps + 1 if rise else 0,
        look_every=-(-val_images // _LOOKED_AT),
    )


def _criterion(config: Config, task: Task, labels: Tensor, classes: Sequence[str]) -> Criterion:
    """The loss. Raises ConfigError if it asks for another task's labels."""
    criterion: Criterion = build_part(config, "loss", labels, classes)
    if criterion.task.name != task.name:
        raise ConfigError(other_loss(config.parts["loss"].name, task.name))
    return replace(criterion, task=task)


def _check_mixing(config: Config, criterion: Criterion, batch_size: int) -> None:
    """Raises ConfigError where mixup and cutmix cannot act."""
    if not criterion.takes_soft_targets:
        raise ConfigError(
            f"aug.mixup, aug.cutmix: mixed images have mixed labels, which loss '{config.parts['loss'].name}' cannot "
            f"take. Set both to 0, or choose another loss: loss={criterion.task.usual_loss}."
        )
    if batch_size < 2:
        raise ConfigError("aug.mixup, aug.cutmix: a batch of one image has none to mix it with. Raise batch_size.")
