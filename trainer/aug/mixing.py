"""Two samples in one: mixup and cutmix, each with its share in the target."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainer.aug.boxes import inside
from trainer.aug.policy import KeepMap
from trainer.rng import Draws, hash_words
from trainer.size import Size
from trainer.system.upload import upload
from trainer.task.single import SINGLE
from trainer.task.task import Task

_CELLS = 4096


def mixup(concentration: float) -> KeepMap:
    """Keep a share of every pixel, drawn from Beta(a, a) (Zhang et al. 2018, section 2).

    Of the share and what it leaves, the larger is kept: else a pair and its mirror image would be trained twice.
    """
    draw = beta(concentration)

    def keep(draws: Draws, size: Size, device: torch.device) -> Tensor:
        share = draw(draws.uniform("aug.mixup").double())
        return upload(torch.maximum(share, 1 - share).float(), device)[:, None, None, None]

    return keep


def cutmix(concentration: float) -> KeepMap:
    """Keep all but a part about a random place, of an area drawn from Beta(a, a) (Yun et al. 2019, section 3.1).

    The part has the picture's proportions: it is a square of a square.
    """
    draw = beta(concentration)

    def keep(draws: Draws, size: Size, device: torch.device) -> Tensor:
        half = draw(draws.uniform("aug.cutmix.area").double()).sqrt() / 2
        x, y = draws.uniform("aug.cutmix.x"), draws.uniform("aug.cutmix.y")
        return 1 - inside(x - half, y - half, x + half, y + half, size, device).float()

    return keep


def beta(concentration: float) -> Callable[[Tensor], Tensor]:
    """Uniform numbers in [0, 1) -> numbers distributed as Beta(a, a), a the concentration; both (B,) float64.

    The distribution function, integrated over 4096 cells, read backwards. Up to x = 1/2 only: the rest is its mirror
    image. The cells are even in x^a where a < 1: there the density has no pole at 0.
    """
    power = min(concentration, 1.0)
    cells = torch.linspace(0, 0.5**power, _CELLS + 1, dtype=torch.float64)
    x = cells ** (1 / power)
    density = (4 * x * (1 - x)) ** (concentration - power) * (1 - x) ** (power - 1)
    reached = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(density)])
    reached = reached / (2 * reached[-1])

    def draw(uniform: Tensor) -> Tensor:
        wanted = torch.minimum(uniform, 1 - uniform)
        after = torch.searchsorted(reached, wanted, right=True).clamp(max=_CELLS)
        before = after - 1
        part = (wanted - reached[before]) / (reached[after] - reached[before])
        place = (cells[before] + part * (cells[after] - cells[before])) ** (1 / power)
        return torch.where(uniform < 0.5, place, 1 - place)

    return draw


def partners(draws: Draws) -> Tensor:
    """(B,) int64 on the CPU: the row of each sample's partner, never its own in a batch of two or more.

    Each sample is the partner of one other. Which, is a function of the set of samples, whatever their order.
    """
    circle = torch.argsort(hash_words(draws.samples, draws.seed, draws.epoch, "aug.mix.partner"), stable=True)
    partner = torch.empty_like(circle)
    partner[circle] = circle.roll(-1)
    return partner


def blend(images: Tensor, targets: Tensor, keep: Tensor, partner: Tensor, task: Task = SINGLE) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) and soft targets (B, C'), each with what it does not keep taken from its partner.

    keep: (B, 1, H, W) or (B, 1, 1, 1), in [0, 1]. A target keeps as much as its image does on average.
    """
    share = keep.mean(dim=(1, 2, 3))[:, None]
    return images.lerp(images[partner], (1 - keep).to(images.dtype)), task.mixed(targets, partner, share)


@dataclass(frozen=True)
class Mixer:
    """Batches with soft targets: float (B, C, H, W) and labels on the device -> such images, targets (B, classes).

    Where there are several maps, each sample uses one of them, each as likely. A sample without a label is neither
    mixed nor mixed in, and its target stays 'ignored'.
    """

    maps: tuple[KeepMap, ...]
    num_classes: int
    task: Task = SINGLE

    def __call__(
        self, images: Tensor, labels: Tensor, draws: Draws, partner: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """partner: the row of each sample's; None: as they are drawn among these samples."""
        draws = replace(draws, samples=draws.samples.cpu())
        partner = upload(partners(draws) if partner is None else partner, labels.device)
        labelled = self.task.has_label(labels)
        both = (labelled & labelled[partner])[:, None, None, None]
        keep = torch.where(both, self._keep(draws, Size(*images.shape[-2:]), images.device), 1.0)
        return blend(images, self.task.targets(labels, self.num_classes), keep, partner, self.task)

    def _keep(self, draws: Draws, size: Size, device: torch.device) -> Tensor:
        chosen = upload((len(self.maps) * draws.uniform("aug.mix.map")).long(), device)[:, None, None, None]
        keep = self.maps[0](draws, size, device)
        for number, draw in enumerate(self.maps[1:], start=1):
            keep = torch.where(chosen == number, draw(draws, size, device), keep)
        return keep
