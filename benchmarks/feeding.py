"""Feeding: Fashion-MNIST beside the same model's bare step rate, photographs alone beside torchvision's transforms."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.engine import Pair, bare_loop
from benchmarks.rates import Ratio, in_turn
from trainer.aug.custom import custom
from trainer.aug.light import light
from trainer.aug.transform import Transform
from trainer.build.training import build
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.engine.memory import keep_freed_memory
from trainer.feed.batches import TrainBatches
from trainer.feed.store import ResidentStore
from trainer.kernels.use import fastest_blend
from trainer.registry import MODELS
from trainer.size import square

STEPS = 20
BATCH = 256
PHOTOGRAPHS, STORED, SIZE = 512, 128, 128
"""Synthetic photographs: how many, the pixels of a side as they are kept, and as the model sees them."""
WORKERS = torch.get_num_threads()
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def fed_over_bare(root: Path) -> Ratio:
    """images/s of training with everything, over those of the bare loop on one resident batch."""
    words = [
        "data=fashion_mnist",
        f"data.root={root}",
        f"batch_size={BATCH}",
        f"limit_train={BATCH * STEPS}",
        "limit_val=1000",
        "optim=sgd",
        "optim.lr=0.01",
        "kernels=torch",  # as the bare loop: what is compared is the feeding
    ]
    job = build(compose(words, Origin(conf_folder())), lambda *_: None)
    device = job.state.device
    torch.manual_seed(0)
    model = MODELS.builder("small_cnn")(10, 1).to(device, memory_format=torch.channels_last)
    pair = Pair(torch.randn(BATCH, 1, 28, 28, device=device), torch.randint(0, 10, (BATCH,), device=device))

    def fed() -> int:
        job.state.step, job.state.epoch = 0, 0
        return sum(train_epoch(job.state, job.batches, job.recipe, Interrupt()))

    bare = bare_loop(model, pair)
    return in_turn(fed, lambda: bare(STEPS), rounds=5)


def photographs_beside_torchvision() -> Iterator[tuple[str, Ratio]]:
    """images/s of an epoch of decoded photographs as the model would see them, over a DataLoader that has them too."""
    keep_freed_memory()  # as a run does
    jitter = v2.ColorJitter(0.2, 0.2)
    for name, policy, theirs in (
        ("crop, flip", custom(crop=0.65, crop_aspect=1.33, flip=0.5), [v2.RandomResizedCrop(SIZE, (0.35, 1.0))]),
        ("light", light(), [v2.Resize(SIZE), v2.RandomAffine(10, (0.06, 0.06), (0.9, 1.1)), jitter]),
    ):
        pixels = torch.randint(0, 256, (PHOTOGRAPHS, 3, STORED, STORED), dtype=torch.uint8)
        labels, rows = torch.arange(PHOTOGRAPHS) % 10, torch.arange(PHOTOGRAPHS)
        batches = TrainBatches(
            ResidentStore(labels, [str(row) for row in rows.tolist()], pixels.numpy(), rows),
            batch_size=64,
            seed=0,
            upload=lambda tensor: tensor,
            transform=Transform(policy, square(SIZE), MEAN, STD, True, torch.bfloat16, fastest_blend(torch.float32)),
        )
        epochs = count()
        finish = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])  # a batch at a time
        loader = DataLoader(
            Photographs(pixels, v2.Compose([*theirs, v2.RandomHorizontalFlip()])),
            batch_size=64,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=WORKERS > 0,
        )
        yield (
            f"photographs {STORED} to {SIZE} px, {name}, over torchvision's in a loader",
            in_turn(
                lambda batches=batches, epochs=epochs: sum(len(each.images) for each in batches.epoch(next(epochs))),  # type: ignore[misc]
                lambda loader=loader, finish=finish: sum(len(finish(each)) for each in loader),  # type: ignore[misc]
                rounds=5,
            ),
        )


class Photographs(Dataset[Tensor]):
    """Decoded images, one at a time, after torchvision's transform: a data loader's way."""

    def __init__(self, pixels: Tensor, transform: v2.Transform) -> None:
        self.pixels = pixels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.pixels[index])
