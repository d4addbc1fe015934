"""Lightning's Trainer: as it comes, and `barebones`, with channels-last and bf16 where that is fast.

It has no transforms, loaders or models of its own; its users take torchvision's and PyTorch's.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.peers.arithmetic import BF16
from benchmarks.peers.task import Task
from benchmarks.peers.with_plain import epochs as plain_epochs
from benchmarks.peers.with_plain import finish, loaders, one_cycle

PRECISION = "bf16-mixed" if BF16 else "32-true"
"""At best; 32-true is its default."""


class Classifier(lightning.LightningModule):
    def __init__(self, task: Task, best: bool) -> None:
        super().__init__()
        self.task = task
        self.best = best
        self.ready = finish(task, best)
        self.model = task.network()
        if best:
            self.model.to(memory_format=torch.channels_last)

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        return self.ready(batch[0]), batch[1]

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = cross_entropy(self.model(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.correct = torch.zeros((), dtype=torch.long)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.correct += (self.model(batch[0]).argmax(1) == batch[1]).sum()

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(
            self.parameters(), self.task.lr, weight_decay=self.task.weight_decay, fused=self.best or None
        )
        schedule = {"scheduler": one_cycle(self.task, optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def train(task: Task, folder: Path, best: bool) -> float:
    """The validation accuracy after the last epoch."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    module = Classifier(task, best)
    with TemporaryDirectory() as output:
        fast = {"barebones": True, "precision": PRECISION} if best else {"default_root_dir": output}
        trainer = lightning.Trainer(max_epochs=task.epochs, accelerator="cpu", **fast)
        trainer.fit(module, *loaders(task, folder, best))
    return int(module.correct) / task.val


def epochs(task: Task, folder: Path, best: bool) -> Iterator[Iterator[Tensor]]:
    """PyTorch's own loader."""
    return plain_epochs(task, folder, best)
