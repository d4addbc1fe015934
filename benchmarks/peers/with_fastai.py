"""fastai's Learner: as its tutorials have it, and at its fastest.

At best: the flip on the item instead of the batch, drafts of the JPEGs, whole batches taken from arrays, channels-last,
a fused optimizer, and autocast where bf16 is fast. to_bf16() names CUDA alone, so a callback of the same three lines
names the CPU.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from fastai.callback import channelslast, progress, schedule  # noqa: F401 - these add methods to Learner
from fastai.callback.core import Callback
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.transforms import GrandparentSplitter, IntToFloatTensor, Normalize, get_image_files, parent_label
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.optimizer import Adam, OptimWrapper
from fastai.torch_core import TensorCategory
from fastai.vision.augment import Flip, FlipItem, RandomResizedCrop, aug_transforms
from fastai.vision.core import PILImage, PILImageBW, TensorImageBW
from fastai.vision.data import ImageBlock
from fastcore.foundation import L
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.datasets import FashionMNIST

from benchmarks.peers.arithmetic import BF16, precision
from benchmarks.peers.task import PREPARED, Task

WORKERS = {"photographs": 2, "fashion": 0}
"""At best; one a core of two, as by default; whole batches from arrays need none."""


class Drafted(PILImage):
    @classmethod
    def create(cls, path: Path) -> "Drafted":
        with Image.open(path) as image:
            image.draft("RGB", (PREPARED, PREPARED))
            return cls(image.convert("RGB"))


class Autocast(Callback):
    """What fastai's MixedPrecision does for bf16, on the CPU."""

    order = 10

    def before_batch(self) -> None:
        self.autocast = precision(best=True)()
        self.autocast.__enter__()

    def after_pred(self) -> None:
        self.learn.pred = self.pred.float()

    def after_loss(self) -> None:
        self.autocast.__exit__(None, None, None)


class ArrayLoader(TfmdDL):
    """Takes whole batches from arrays, the way fastai's loader of tables does."""

    def __init__(self, dataset: tuple[Tensor, Tensor], bs: int, shuffle: bool = False, **kwargs: object) -> None:
        self.images, self.labels = dataset
        super().__init__(range(len(self.labels)), bs=bs, shuffle=shuffle, **kwargs)
        self._n_inp = 1  # else it is found out with a batch that this loader does not make

    def create_batches(self, samples: Iterator[int]) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in self.chunkify(samples):
            yield TensorImageBW(self.images[chosen]), TensorCategory(self.labels[chosen])


def train(task: Task, folder: Path, best: bool) -> float:
    """The validation accuracy after the last epoch."""
    loaders = data(task, folder, best)
    optimizer = partial(OptimWrapper, opt=partial(torch.optim.AdamW, fused=True)) if best else Adam
    learner = Learner(loaders, task.network(), cross_entropy, optimizer, metrics=accuracy, wd=task.weight_decay)
    if best:
        learner.to_channelslast(use_amp=False)
        if BF16:
            learner.add_cb(Autocast())
    with learner.no_bar() if best else nullcontext():
        learner.fit_one_cycle(
            task.epochs,
            task.lr,
            div=1 / task.start,
            div_final=1 / task.end,
            pct_start=task.warmup,
            moms=(0.9, 0.9, 0.9),
        )
    return float(learner.recorder.values[-1][-1])


def epochs(task: Task, folder: Path, best: bool) -> Iterator[Iterator[Tensor]]:
    """Training images, epoch after epoch, as the model would see them."""
    loader = data(task, folder, best).train
    while True:
        yield (images for images, _ in loader)


def data(task: Task, folder: Path, best: bool) -> DataLoaders:
    normalise = Normalize.from_stats(task.mean, task.std, cuda=False)
    workers = {"num_workers": WORKERS[task.name]} if best else {}
    if task.name == "fashion":
        return _fashion(task, folder, best, normalise, workers)
    crop = RandomResizedCrop(task.size, task.crop[0], task.aspect, val_xtra=0)
    block = DataBlock(
        (ImageBlock(Drafted if best else PILImage), CategoryBlock),
        get_items=get_image_files,
        splitter=GrandparentSplitter("train", "val"),
        get_y=parent_label,
        item_tfms=[crop, FlipItem(task.flip)] if best else crop,
        batch_tfms=[normalise] if best else [Flip(task.flip), normalise],
    )
    return block.dataloaders(folder, bs=task.batch_size, persistent_workers=best, **workers)


def _fashion(task: Task, folder: Path, best: bool, normalise: Normalize, workers: dict[str, int]) -> DataLoaders:
    turned = aug_transforms(
        max_rotate=task.rotate,
        min_zoom=1 / task.zoom,
        max_zoom=task.zoom,
        max_lighting=0,
        max_warp=0,
        p_affine=1.0,
        pad_mode="zeros",
    )
    sets = FashionMNIST(str(folder), train=True), FashionMNIST(str(folder), train=False)
    if best:
        pairs = [(each.data[:, None], each.targets) for each in sets]
        finish = [IntToFloatTensor(), *turned, normalise]
        loaders = [
            ArrayLoader(pair, task.batch_size, shuffle=part == 0, after_batch=finish, drop_last=part == 0, **workers)
            for part, pair in enumerate(pairs)
        ]
        for part, loader in enumerate(loaders):
            loader.split_idx = part
        return DataLoaders(*loaders)
    images = np.concatenate([each.data.numpy() for each in sets])
    labels = np.concatenate([each.targets.numpy() for each in sets])
    block = DataBlock(
        (ImageBlock(PILImageBW), CategoryBlock),
        get_items=lambda _: L(range(len(labels))),
        splitter=lambda items: (list(range(task.train)), list(range(task.train, len(items)))),
        get_x=lambda index: images[index],
        get_y=lambda index: int(labels[index]),
        batch_tfms=[*turned, normalise],
    )
    return block.dataloaders(None, bs=task.batch_size)
