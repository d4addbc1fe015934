"""A plain PyTorch and torchvision loop, as their tutorials write it, and at the fastest settings that they document."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FashionMNIST, ImageFolder
from torchvision.transforms import InterpolationMode, v2

from benchmarks.peers.arithmetic import precision
from benchmarks.peers.task import PREPARED, Task

WORKERS = {"photographs": 2, "fashion": 2}
"""At best; one worker a core, on two. The DataLoader's own default is 0."""


def train(task: Task, folder: Path, best: bool) -> float:
    """The validation accuracy after the last epoch."""
    model = task.network()
    if best:
        model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), task.lr, weight_decay=task.weight_decay, fused=best or None)
    schedule = one_cycle(task, optimizer)
    training, validation = loaders(task, folder, best)
    ready, autocast = finish(task, best), precision(best)
    for _ in range(task.epochs):
        model.train()
        for images, labels in training:
            with autocast():
                loss = cross_entropy(model(ready(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        correct = _correct(model, validation, ready, autocast)
    return correct / task.val


@torch.no_grad()
def _correct(
    model: nn.Module,
    loader: "DataLoader[Tensor]",
    ready: Callable[[Tensor], Tensor],
    autocast: partial[torch.autocast],
) -> int:
    model.eval()
    correct = torch.zeros((), dtype=torch.long)
    for images, labels in loader:
        with autocast():
            correct += (model(ready(images)).argmax(1) == labels).sum()
    return int(correct)


def epochs(task: Task, folder: Path, best: bool) -> Iterator[Iterator[Tensor]]:
    """Training images, epoch after epoch, as the model would see them."""
    loader, ready = loaders(task, folder, best)[0], finish(task, best)
    while True:
        yield (ready(images) for images, _ in loader)


def one_cycle(task: Task, optimizer: torch.optim.Optimizer) -> OneCycleLR:
    return OneCycleLR(
        optimizer,
        task.lr,
        task.steps,
        pct_start=task.warmup,
        div_factor=1 / task.start,
        final_div_factor=task.start / task.end,
        cycle_momentum=False,
    )


def loaders(task: Task, folder: Path, best: bool) -> tuple["DataLoader[Tensor]", "DataLoader[Tensor]"]:
    """Training and validation. At best: batches of bytes from processes that live on, which `finish` makes floats."""
    workers = WORKERS[task.name] if best else 0
    load = partial(DataLoader, batch_size=task.batch_size, num_workers=workers, persistent_workers=workers > 0)
    return load(dataset(task, folder, best, True), shuffle=True), load(dataset(task, folder, best, False))


def dataset(task: Task, folder: Path, best: bool, training: bool) -> "Dataset[tuple[Tensor, int]]":
    transform = transforms(task, best, training)
    if task.name == "fashion":
        return FashionMNIST(str(folder), train=training, transform=transform)
    part = folder / ("train" if training else "val")
    return ImageFolder(str(part), transform, loader=drafted) if best else ImageFolder(str(part), transform)


def drafted(path: str) -> Image.Image:
    """The image, decoded at the smallest scale that JPEG offers and the crops allow."""
    with Image.open(path) as image:
        image.draft("RGB", (PREPARED, PREPARED))
        return image.convert("RGB")


def transforms(task: Task, best: bool, training: bool) -> v2.Compose:
    """From a PIL image to a float tensor; at best to bytes, since a quarter of the memory then crosses processes.

    The affine transform acts on the PIL image: on a tensor of 28 px it takes twice as long.
    """
    steps: list[nn.Module] = []
    if task.crop[0] < 1 and training:
        steps.append(v2.RandomResizedCrop(task.size, task.crop, task.aspect))
    elif task.name == "photographs":
        steps += [v2.Resize(task.size), v2.CenterCrop(task.size)]
    if training:
        steps.append(v2.RandomHorizontalFlip(task.flip))
    if training and task.rotate:
        zooms = 1 / task.zoom, task.zoom
        steps.append(v2.RandomAffine(task.rotate, (task.shift, task.shift), zooms, None, InterpolationMode.BILINEAR))
    steps.append(v2.PILToTensor())
    floats = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(task.mean, task.std)]
    return v2.Compose(steps if best else [*steps, *floats])


def finish(task: Task, best: bool) -> Callable[[Tensor], Tensor]:
    """What is left for the main process to do to a batch."""
    if not best:
        return lambda images: images
    mean, std = (torch.tensor(each)[:, None, None] * 255 for each in (task.mean, task.std))

    def ready(images: Tensor) -> Tensor:
        return images.to(torch.float32, memory_format=torch.channels_last).sub_(mean).div_(std)

    return ready
