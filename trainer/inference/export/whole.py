"""A run as one module of torch: from images to probabilities."""

import torch
from torch import Tensor, nn

from trainer.inference.engine import load_network
from trainer.inference.export.preparing import Prepared
from trainer.inference.saved import SavedRun
from trainer.task.task import Task


class Whole(nn.Module):
    """`Prepared`, or nothing in its place; the network; the probabilities of its logits, divided by the temperature."""

    def __init__(self, prepare: nn.Module, network: nn.Module, task: Task, temperature: float) -> None:
        super().__init__()
        self.prepare = prepare
        self.network = network
        self.task = task
        self.temperature = temperature

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.prepare(images))
        return self.task.probabilities(logits / self.temperature)


def whole(run: SavedRun, *, inside: bool, temperature: float) -> Whole:
    """The run's; inside: it takes pictures, uint8 (B, H, W, 3), else what the model sees."""
    network = load_network(run).to(memory_format=torch.contiguous_format)
    return Whole(Prepared(run.preprocessing) if inside else nn.Identity(), network, run.task, temperature).eval()


def example(run: SavedRun, *, inside: bool) -> tuple[Tensor, tuple[str, ...]]:
    """Two images to record it with, and the names of their sizes that may be any."""
    if inside:
        return torch.zeros(2, 40, 50, 3, dtype=torch.uint8), ("batch", "height", "width")
    return torch.zeros(2, run.preprocessing.channels, *run.preprocessing.size), ("batch",)
