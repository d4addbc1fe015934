"""What is done to single pixels after the warp: Gaussian noise, salt and pepper, and random erasing."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from trainer.aug.boxes import inside
from trainer.aug.policy import Levels, PixelStage
from trainer.rng import Draws
from trainer.size import Size
from trainer.system.upload import upload

_LEAST_AREA, _LARGEST_ASPECT = 0.02, 1 / 0.3
"""Of an erased rectangle: Zhong et al. 2017, section 4.3."""


def gaussian(strength: float) -> PixelStage:
    """Add normal noise to every value, white being 1; each sample has a standard deviation from 0 to strength."""

    def add(pixels: Tensor, draws: Draws, levels: Levels) -> Tensor:
        integers = draws.integers("aug.noise", pixels.shape[1:], pixels.device)
        normal = torch.erfinv(integers.float().add_(0.5).mul_(2.0**-15))  # over the root of 2; within 4.3 stds of 0
        std = upload(draws.uniform("aug.noise.std", 0.0, strength), pixels.device)[:, None, None, None]
        return pixels.add_(normal.mul_(math.sqrt(2) * std * (levels.white - levels.black)))

    return add


def salt_and_pepper(strength: float) -> PixelStage:
    """Turn pixels black or white, either as likely; in each sample a share of them from 0 to strength."""

    def sprinkle(pixels: Tensor, draws: Draws, levels: Levels) -> Tensor:
        integers = draws.integers("aug.salt", (1, *pixels.shape[2:]), pixels.device)
        reach = upload(2**15 * draws.uniform("aug.salt.share", 0.0, strength), pixels.device)[:, None, None, None]
        pepper, salt = integers < reach - 2**15, integers >= 2**15 - reach
        return torch.where(pepper, levels.black, torch.where(salt, levels.white, pixels))

    return sprinkle


def erase(probability: float, largest_area: float) -> PixelStage:
    """With this probability, fill a rectangle at a random place with random pixels (Zhong et al. 2017, section 3.2).

    It takes 2 % of the picture to largest_area; its height over width is 0.3 to 1 / 0.3 of the picture's own
    (log-uniform), as far as such a rectangle fits, so that none has to be drawn again.
    """

    def fill(pixels: Tensor, draws: Draws, levels: Levels) -> Tensor:
        chosen = draws.chance("aug.erase", probability).nonzero()[:, 0]
        draws = replace(draws, samples=draws.samples[chosen])
        area = draws.uniform("aug.erase.area", min(_LEAST_AREA, largest_area), largest_area).double()
        limit = (-area.log()).clamp(max=math.log(_LARGEST_ASPECT))
        aspect = torch.exp(limit * (2 * draws.uniform("aug.erase.aspect").double() - 1))
        width, height = (area / aspect).sqrt(), (area * aspect).sqrt()
        left, top = (1 - width) * draws.uniform("aug.erase.x"), (1 - height) * draws.uniform("aug.erase.y")
        erased = inside(left, top, left + width, top + height, Size(*pixels.shape[-2:]), pixels.device)
        integers = draws.integers("aug.erase.fill", pixels.shape[1:], pixels.device)
        random = levels.at(integers.float().add_(2**15).div_(2**16 - 1))
        rows = upload(chosen, pixels.device)
        pixels[rows] = torch.where(erased, random, pixels[rows])
        return pixels

    return fill
