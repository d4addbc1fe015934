"""Where a pixel comes from: maps of output to input coordinates, for the one warp.

Coordinates are in [-1, 1] with (0, 0) the centre, x to the right and y down. Matrices are float64 on the CPU: a batch
has few of them, and rounded to float32 they come out the same however many samples are worked out side by side.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from trainer.aug.policy import GeometryMap
from trainer.rng import Draws


def affine(xx: Tensor, xy: Tensor, x: Tensor, yx: Tensor, yy: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3) with the rows (xx xy x), (yx yy y), (0 0 1); each entry (B,)."""
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    return torch.stack([xx, xy, x, yx, yy, y, zero, zero, one], dim=1).view(-1, 3, 3)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3): the part of the input that is seen is x of its width and y of its height; -1 mirrors."""
    zero = torch.zeros_like(x)
    return affine(x, zero, zero, zero, y, zero)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3): what is seen lies x to the right and y down, in half sides; the content moves the other way."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return affine(one, zero, x, zero, one, y)


def rotation(degrees: Tensor, aspect: float) -> Tensor:
    """(B, 3, 3): the content turns counter-clockwise. Without the aspect (width over height) a wide image shears."""
    angle = torch.deg2rad(degrees)
    sine, cosine, zero = torch.sin(angle), torch.cos(angle), torch.zeros_like(angle)
    return affine(cosine, -sine / aspect, zero, sine * aspect, cosine, zero)


def shearing(x: Tensor, y: Tensor, aspect: float) -> Tensor:
    """(B, 3, 3): what is seen slants by x pixels to the right a pixel down, then by y down a pixel to the right."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return affine(one, x / aspect, zero, zero, one, zero) @ affine(one, zero, zero, y * aspect, one, zero)


def tilting(x: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3): the distance to what is seen grows from 1 - x at the left to 1 + x at the right, and so downwards."""
    matrices = torch.eye(3, dtype=x.dtype).repeat(len(x), 1, 1)
    matrices[:, 2, 0], matrices[:, 2, 1] = x, y
    return matrices


def mirroring(flipped: Tensor) -> Tensor:
    """(B, 3, 3): left and right change places where the bools (B,) say so."""
    sign = torch.where(flipped, -1.0, 1.0).double()
    return scaling(sign, torch.ones_like(sign))


def flip(probability: float) -> GeometryMap:
    """Mirror left and right with this probability."""

    def draw(draws: Draws, aspect: float) -> Tensor:
        return mirroring(draws.chance("aug.flip", probability))

    return draw


def alternate_flip() -> GeometryMap:
    """Mirror left and right in every other epoch; whether the even or the odd ones is drawn once for each image.

    The alternating flip of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU": two epochs in a row show
    every image both ways, where a coin shows half of them the same way twice.
    """

    def draw(draws: Draws, aspect: float) -> Tensor:
        in_even = replace(draws, epoch=0).chance("aug.flip.alternate", 0.5)
        return mirroring(in_even if draws.epoch % 2 == 0 else ~in_even)

    return draw


def rotate(degrees: float) -> GeometryMap:
    """Turn about the centre by an angle from -degrees to degrees."""

    def draw(draws: Draws, aspect: float) -> Tensor:
        return rotation(_spread(draws, "aug.rotate", degrees), aspect)

    return draw


def zoom(factor: float) -> GeometryMap:
    """Magnify by 1 / factor to factor, as often in as out (log-uniform)."""

    def draw(draws: Draws, aspect: float) -> Tensor:
        seen = torch.exp(_spread(draws, "aug.zoom", math.log(factor)))
        return scaling(seen, seen)

    return draw


def shift(share: float) -> GeometryMap:
    """Move by up to this share of each side, in either direction."""

    def draw(draws: Draws, aspect: float) -> Tensor:
        return translation(_spread(draws, "aug.shift.x", 2 * share), _spread(draws, "aug.shift.y", 2 * share))

    return draw


def shear(slant: float) -> GeometryMap:
    """Slant sideways and upwards, each by up to this many pixels a pixel, in either direction."""

    def draw(draws: Draws, aspect: float) -> Tensor:
        return shearing(_spread(draws, "aug.shear.x", slant), _spread(draws, "aug.shear.y", slant), aspect)

    return draw


def perspective(tilt: float) -> GeometryMap:
    """Tilt the picture in depth, so that its distance changes by up to this share at the corner that changes most.

    To be named last: then the tilt is that of the picture which is seen, and no pixel of it lies behind the eye.
    With it, the maps of this file compose to every perspective that a photograph of the picture can show.
    """

    def draw(draws: Draws, aspect: float) -> Tensor:
        falling, rising = _spread(draws, "aug.tilt.falling", tilt / 2), _spread(draws, "aug.tilt.rising", tilt / 2)
        return tilting(falling + rising, falling - rising)

    return draw


def crop(cut: float, aspect_factor: float) -> GeometryMap:
    """Cut out a rectangle and enlarge it to the whole: a random resized crop (Szegedy et al. 2015, section 6).

    Its area is 1 - cut to 1 of the image's; its width over height is 1 / aspect_factor to aspect_factor of the image's
    (log-uniform). A side that would be longer than the image's is cut to it, so that nothing is made up at the edges.
    """

    def draw(draws: Draws, aspect: float) -> Tensor:
        area = 1 - cut * draws.uniform("aug.crop.area").double()
        ratio = torch.exp(_spread(draws, "aug.crop.aspect", math.log(aspect_factor)))
        width = (area * ratio).sqrt().clamp(max=1)
        height = (area / ratio).sqrt().clamp(max=1)
        x = (1 - width) * _spread(draws, "aug.crop.x", 1.0)
        y = (1 - height) * _spread(draws, "aug.crop.y", 1.0)
        return translation(x, y) @ scaling(width, height)

    return draw


def _spread(draws: Draws, purpose: str, limit: float) -> Tensor:
    """(B,) float64, uniform from -limit to limit."""
    return limit * (2 * draws.uniform(purpose).double() - 1)
