"""From a config to live objects. The only file that knows every room, and the last place where a config is seen."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer import registry
from trainer.aug.mixing import Mixer
from trainer.aug.policy import Policy
from trainer.aug.sampling import blended
from trainer.aug.transform import Transform
from trainer.config import Config, Settings
from trainer.data.batches import EvalBatches, TrainBatches
from trainer.data.fingerprint import fingerprint
from trainer.data.listing import in_two_parts, listing
from trainer.data.normalise import Normalisation, centred, measure
from trainer.data.pack import Progress
from trainer.data.source import Samples, Source
from trainer.data.splits import limit
from trainer.data.store import Store, open_stores
from trainer.engine.device import choose_device, make_repeatable, upload
from trainer.engine.loop import Plan, Recipe, steps_per_epoch
from trainer.engine.memory import keep_freed_memory
from trainer.engine.precision import Precision, choose_precision
from trainer.engine.state import State
from trainer.errors import ConfigError
from trainer.finetune.freezing import BeginEpoch
from trainer.garbage import begin_collecting
from trainer.kernels.use import Used, fastest_blend, use_kernels
from trainer.loss.class_weights import shown
from trainer.loss.criterion import Criterion
from trainer.model.staged import check, check_single
from trainer.model.weights import renew_head
from trainer.rng import seed_of
from trainer.sched.schedule import Schedule

_FEW_STEPS = 5


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
    left_out: tuple[str, ...]
    """Each file that could not be read and was left out, with the reason."""


def build(config: Config, progress: Progress, *, trains: bool = True) -> Job:
    """The run that the config describes. Raises ConfigError, DataError or CheckpointError.

    trains: whether its steps will be taken, so that kernels are worth their compiling.
    """
    begin_collecting()
    settings = config.settings
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    make_repeatable(device)
    keep_freed_memory()

    source: Source = _part(config, "data")
    (train, val, test), kept = _open_all(config, source, progress)
    normalisation = measure(train, source.normalise, source.size)
    policy: Policy = _part(config, "aug")
    to_device = partial(upload, device=device)
    use = trains and _may_use_kernels(settings, device)
    blend = fastest_blend(precision.dtype) if use else blended
    plain = Transform(
        policy, source.size, normalisation.mean, normalisation.std, settings.channels_last, precision.dtype, blend
    )
    transform = _transform(plain, normalisation, to_device)
    batches = _batches(settings, train, policy, len(source.classes), to_device, transform)
    in_order = partial(EvalBatches, batch_size=settings.batch_size, upload=to_device, transform=transform)
    looked_at = next(iter(in_order(train))).images.float()  # before the run, and so without autocast
    model = build_model(config, len(source.classes), source.channels, looked_at)
    new_head = renew_head(model, config.parts["model"].options.get("weights"), source.classes)
    if len(train) // len(batches) == 1:
        check_single(model, looked_at[:1])
    criterion: Criterion = _part(config, "loss", train.labels, source.classes)
    if policy.mix:
        _check_mixing(config, criterion, batches.batch_size)
    used = use_kernels(model, precision.dtype) if use else Used()
    optimizer = _part(config, "optim", model)
    schedule = _part(config, "sched", settings.epochs * steps_per_epoch(batches, settings.accumulate))
    finetune = _part(config, "finetune", len(model.stages), settings.epochs)  # type: ignore[arg-type]

    return Job(
        state=State.begin(
            model, optimizer, precision.scaler(skip=settings.on_nonfinite == "skip"), averaging=settings.ema > 0
        ),
        batches=batches,
        val_batches=in_order(val),
        test_batches=None if test is None else in_order(test),
        normalisation=normalisation,
        recipe=_recipe(settings, criterion.to(device), schedule, precision, finetune),
        plan=_plan(settings),
        about={
            **_about_data(source, normalisation),
            "images": {"train": len(train), "validation": len(val), "test": len(test) if test is not None else 0},
            **_about_machine(model, precision),
            "kernels": used.name,
        },
        notes=(
            *source.notes,
            *in_two_parts(source),
            *kept,
            *getattr(model, "notes", ()),
            *new_head,
            *getattr(finetune, "notes", ()),
            *_idle(config, source),
            *filter(None, (precision.note, used.note)),
            *_rates(optimizer),
            *_pace(steps_per_epoch(batches, settings.accumulate)),
            *_weights(criterion, source),
        ),
        files=listing(source),
        left_out=source.left_out,
    )


def _batches(
    settings: Settings,
    train: Store,
    policy: Policy,
    num_classes: int,
    to_device: Callable[[Tensor], Tensor],
    transform: Callable[..., Tensor],
) -> TrainBatches:
    """The training images, shuffled, augmented and mixed as the policy says."""
    return TrainBatches(
        train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        accumulate=settings.accumulate,
        upload=to_device,
        transform=transform,
        item=policy.item,
        mix=Mixer(policy.mix, num_classes) if policy.mix else None,
    )


def _transform(
    plain: Transform, normalisation: Normalisation, to_device: Callable[[Tensor], Tensor]
) -> Callable[..., Tensor]:
    """From stored images, and draws where there are any, to what the model sees."""
    return plain if normalisation.mean_image is None else centred(plain, to_device(normalisation.mean_image))


def _about_data(source: Source, normalisation: Normalisation) -> dict[str, Any]:
    """What run.json tells of the data: enough to prepare another image as these were."""
    return {
        "classes": list(source.classes),
        "fingerprint": fingerprint(source),
        "preprocessing": {
            "channels": source.channels,
            "prepared_size": source.train.shape[1],
            "size": source.size,
            "normalise": source.normalise,
            **normalisation.plain(),
        },
    }


def _about_machine(model: nn.Module, precision: Precision) -> dict[str, Any]:
    """What run.json tells of the arithmetic."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": str(precision.device),
        "precision": precision.name,
        "threads": torch.get_num_threads(),
    }


def _recipe(
    settings: Settings, criterion: Criterion, schedule: Schedule, precision: Precision, finetune: BeginEpoch
) -> Recipe:
    return Recipe(
        criterion,
        schedule,
        precision,
        finetune,
        seed=settings.seed,
        accumulate=settings.accumulate,
        clip_norm=settings.clip_norm,
        ema=settings.ema,
        compile=settings.compile,
    )


def _plan(settings: Settings) -> Plan:
    return Plan(
        settings.epochs,
        settings.monitor,
        settings.early_stop,
        settings.log_every,
        settings.save_every,
        settings.keep_every,
    )


def _idle(config: Config, source: Source) -> tuple[str, ...]:
    """A word on what a stack of augmentations holds and grey images cannot show."""
    options = config.parts["aug"].options
    idle = [name for name in ("saturation", "hue", "greyscale") if source.channels == 1 and options.get(name)]
    return (f"aug.{', aug.'.join(idle)}: nothing to do on grey images",) if idle else ()


def _rates(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """The stages' base rates in words, where they differ."""
    rates = sorted({group["initial_lr"] for group in optimizer.param_groups})
    return (f"learning rate: {rates[0]:.3g} in the stem, rising to {rates[-1]:.3g} in the head",) if rates[1:] else ()


def _weights(criterion: Criterion, source: Source) -> tuple[str, ...]:
    """The class weights in words, where classes count differently."""
    weights = criterion.class_weights
    return (f"class weights: {shown(weights, source.classes)}",) if (weights != 1).any() else ()


def _part(config: Config, room: str, *handed: Any) -> Any:
    """The part chosen for a room, built from what is handed over and what YAML said."""
    choice = config.parts[room]
    builder = registry.REGISTRIES[room].builder(choice.name, config.settings.plugins)
    return builder(*handed, **choice.options)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limited(samples: Samples, count: int | None, setting: str) -> Samples:
    return samples if count is None else limit(samples, count, setting)


def _limits(settings: Settings) -> tuple[str, ...]:
    """A word where only a part of the images is used."""
    limits = {"limit_train": settings.limit_train, "limit_val": settings.limit_val}
    said = ", ".join(f"{name}={count}" for name, count in limits.items() if count is not None)
    return (f"{said}: only so many of these images are used, every class in its share.",) if said else ()


def _open_all(
    config: Config, source: Source, progress: Progress
) -> tuple[tuple[Store, Store, Store | None], tuple[str, ...]]:
    """Training, validation and test images, and where they are kept, in words.

    Read before the run: an image that cannot be read is told now, not at the end. Raises DataError with all of them.
    """
    settings, data = config.settings, config.parts["data"]
    train = _limited(source.train, settings.limit_train, "limit_train")
    val = _limited(source.val, settings.limit_val, "limit_val")
    parts = [train, val, *([source.test] if source.test is not None else [])]
    place = data.options.get("root") or data.options.get("file") or ""
    stores, note = open_stores(
        parts,
        source.keep,
        workers=_cores() if settings.workers == "auto" else settings.workers,
        title=f"{data.name} {place}".strip(),
        progress=progress,
    )
    return (stores[0], stores[1], stores[2] if stores[2:] else None), (*_limits(settings), *filter(None, [note]))


def _may_use_kernels(settings: Settings, device: torch.device) -> bool:
    """They are for a CPU, for images in channels last, and for layers that torch's compiler does not take apart."""
    return device.type == "cpu" and settings.kernels == "auto" and settings.channels_last and not settings.compile


def _pace(steps: int) -> tuple[str, ...]:
    """A word where an epoch has hardly a step."""
    few = f"Only {steps} optimizer step{'s' * (steps > 1)} an epoch: a smaller batch_size or more epochs learn more."
    return (few,) if steps < _FEW_STEPS else ()


def _check_mixing(config: Config, criterion: Criterion, batch_size: int) -> None:
    """Raises ConfigError where mixup and cutmix cannot act."""
    if not criterion.takes_soft_targets:
        raise ConfigError(
            f"aug.mixup, aug.cutmix: mixed images have mixed labels, which loss '{config.parts['loss'].name}' cannot "
            f"take. Set both to 0, or choose another loss: loss=cross_entropy."
        )
    if batch_size < 2:
        raise ConfigError("aug.mixup, aug.cutmix: a batch of one image has none to mix it with. Raise batch_size.")


def build_model(config: Config, num_classes: int, channels: int, images: Tensor) -> nn.Module:
    """The model on its device, initialised; images: a batch of training images as the model will see them."""
    settings = config.settings
    torch.manual_seed(seed_of(settings.seed, "model"))
    model: nn.Module = _part(config, "model", num_classes, channels)
    model.to(images.device)
    check(model, images[:2], num_classes)
    torch.manual_seed(seed_of(settings.seed, "init"))
    _part(config, "init", model, images)
    return model.to(memory_format=torch.channels_last) if settings.channels_last else model
