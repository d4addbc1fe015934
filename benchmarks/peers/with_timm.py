"""timm's training as its train.py goes about it. The wheel ships no script, so the loop is written here from its parts.

Dataset, loader with its own collation and normalising prefetcher, optimizer, schedule, scaler, meters and checkpoints
are timm's. At best: channels-last (--channels-last), bf16 where it is fast (--amp --amp-dtype bfloat16), a fused
optimizer, drafts of the JPEGs, and nothing saved. timm has no affine augmentation: torchvision's stands in.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from timm.data import create_dataset, create_loader
from timm.data.transforms import ToNumpy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, CheckpointSaver, accuracy
from torch import Tensor, nn
from torchvision.transforms import Compose, InterpolationMode, RandomAffine, RandomHorizontalFlip

from benchmarks.peers.arithmetic import precision
from benchmarks.peers.task import PREPARED, Task

DEFAULT_WORKERS = 4
"""train.py's own."""
WORKERS = {"photographs": 2, "fashion": 2}
"""At best; one a core, on two."""
_LOG_EVERY = 50


def train(task: Task, folder: Path, best: bool) -> float:
    """The validation accuracy after the last epoch."""
    model = task.network()
    if best:
        model.to(memory_format=torch.channels_last)
    fused = {"fused": True} if best else {}
    optimizer = create_optimizer_v2(model, "adamw", task.lr, task.weight_decay, **fused)
    training, validation = loader(task, folder, best, True), loader(task, folder, best, False)
    schedule, _ = create_scheduler_v2(
        optimizer,
        "cosine",
        num_epochs=task.epochs,
        warmup_epochs=task.warmup * task.epochs,
        warmup_lr=task.lr * task.start,
        min_lr=task.lr * task.end,
        step_on_epochs=False,
        updates_per_epoch=len(training),
    )
    schedule.step_update(0)
    autocast = precision(best)
    with TemporaryDirectory() as output:
        saver = None if best else CheckpointSaver(model, optimizer, checkpoint_dir=output, recovery_dir=output)
        for epoch in range(task.epochs):
            train_epoch(epoch, model, training, optimizer, schedule, autocast, best)
            top1 = validate(model, validation, autocast, best)
            if saver:
                saver.save_checkpoint(epoch, metric=top1)
    return top1 / 100


def train_epoch(
    epoch: int,
    model: nn.Module,
    batches: "torch.utils.data.DataLoader[Tensor]",
    optimizer: torch.optim.Optimizer,
    schedule: object,
    autocast: "partial[torch.autocast]",
    best: bool,
) -> None:
    criterion, losses, seconds, updates = nn.CrossEntropyLoss(), AverageMeter(), AverageMeter(), epoch * len(batches)
    model.train()
    begun = time.time()
    for index, (images, labels) in enumerate(batches):
        if best:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast():
            loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(images))
        updates += 1
        seconds.update(time.time() - begun)
        if index % _LOG_EVERY == 0:
            print(f"Train: {epoch} [{index}/{len(batches)}] Loss: {losses.avg:.4f} Time: {seconds.avg:.3f}s")
        schedule.step_update(num_updates=updates, metric=losses.avg)
        begun = time.time()


@torch.inference_mode()
def validate(
    model: nn.Module,
    batches: "torch.utils.data.DataLoader[Tensor]",
    autocast: "partial[torch.autocast]",
    best: bool,
) -> float:
    top1 = AverageMeter()
    model.eval()
    for images, labels in batches:
        if best:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast():
            output = model(images)
        top1.update(accuracy(output, labels)[0].item(), len(images))
    return float(top1.avg)


def epochs(task: Task, folder: Path, best: bool) -> Iterator[Iterator[Tensor]]:
    """Training images, epoch after epoch, as the model would see them."""
    batches = loader(task, folder, best, True)
    while True:
        yield (images for images, _ in batches)


def loader(task: Task, folder: Path, best: bool, training: bool) -> "torch.utils.data.DataLoader[Tensor]":
    fashion = task.name == "fashion"
    dataset = create_dataset(
        "torch/fashion_mnist" if fashion else "",
        root=str(folder),
        split="train" if training else "val",
        input_img_mode="" if best else "RGB",
    )
    batches = create_loader(
        dataset,
        (task.channels, task.size, task.size),
        task.batch_size,
        is_training=training,
        scale=task.crop,
        ratio=task.aspect,
        hflip=task.flip,
        color_jitter=0,
        interpolation="bilinear",
        mean=task.mean,
        std=task.std,
        num_workers=WORKERS[task.name] if best else DEFAULT_WORKERS,
        crop_pct=1.0,
        device=torch.device("cpu"),
    )
    if fashion:
        zooms = 1 / task.zoom, task.zoom
        affine = RandomAffine(task.rotate, (task.shift, task.shift), zooms, None, InterpolationMode.BILINEAR)
        batches.dataset.transform = Compose(
            [RandomHorizontalFlip(task.flip), affine, ToNumpy()] if training else [ToNumpy()]
        )
    elif best:
        batches.dataset.transform = Compose([_drafted, batches.dataset.transform])
    return batches


def _drafted(image: Image.Image) -> Image.Image:
    image.draft("RGB", (PREPARED, PREPARED))
    return image.convert("RGB")
