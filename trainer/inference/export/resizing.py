"""Pillow's resizing as two matrix products, worked out from the picture's height and width within an exported graph.

A row of a matrix is the filter over the pixels of one side, for one pixel of the result, as Pillow has it
(`src/libImaging/Resample.c`). The result is rounded after each product, and the sides are taken in Pillow's order, so
it is Pillow's to one level of 255, and to the last bit on most sizes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.data.decode import Frame
from trainer.schema import Resize


@dataclass(frozen=True)
class Side:
    """One side of a picture: which part of it becomes which part of the result. Float64 numbers, without dimension."""

    pixels: int
    """How many there are; a symbol while a graph is recorded."""
    start: Tensor
    length: Tensor
    """Of the part that is taken."""
    before: Tensor
    inner: Tensor
    """Pixels of the result that stay black before it, and that it fills."""


class Fitted(nn.Module):
    """Pictures (B, C, H, W) of any size, whole numbers as floats, fitted into a frame: (B, C, *size)."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        assert frame.size
        self.frame = frame
        self.size = frame.size

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = self._sides(*pixels.shape[-2:])
        rows = matrix(height, self.size.height, self.frame.resize)
        columns = matrix(width, self.size.width, self.frame.resize)
        shrinks = torch.scalar_tensor(height.pixels, dtype=torch.float64) - height.inner
        narrows = torch.scalar_tensor(width.pixels, dtype=torch.float64) - width.inner
        tall = (shrinks > 0) & (shrinks > 2 * narrows)  # then Pillow, from 13.0 on, begins with the height
        if torch.compiler.is_exporting():
            result: Tensor = torch.cond(tall, _height_first, _width_first, (pixels, rows, columns))
            return result
        return (_height_first if tall else _width_first)(pixels, rows, columns)

    def _sides(self, *sizes: int) -> list[Side]:
        """Height and width, as `data/decode.py` fits them."""
        lengths, wholes = (
            [torch.scalar_tensor(each, dtype=torch.float64) for each in both] for both in (sizes, self.size)
        )
        nothing = [torch.zeros_like(each) for each in wholes]
        if self.frame.fit != "pad":
            sides = lengths if self.frame.fit == "squish" else _largest_part(lengths, wholes)
            boxes = [self._box(length, side) for length, side in zip(lengths, sides, strict=True)]
            return [
                Side(each, *box, before, whole)
                for each, box, before, whole in zip(sizes, boxes, nothing, wholes, strict=True)
            ]
        inner = [each.round().clamp(min=1) for each in _largest_part(wholes, lengths)]
        befores = [torch.floor((whole - each) / 2) for whole, each in zip(wholes, inner, strict=True)]
        return [Side(*each) for each in zip(sizes, nothing, lengths, befores, inner, strict=True)]

    def _box(self, length: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """Start and length of the share of a side that is seen, in single precision, as Pillow keeps them."""
        start = torch.floor((length - side) / 2) + side * (1 - self.frame.crop_share) / 2
        end = start + side * self.frame.crop_share
        return start.float().double(), (end.float() - start.float()).double()


def _largest_part(of: list[Tensor], proportions: list[Tensor]) -> list[Tensor]:
    """Height and width of the largest rectangle in these proportions that lies in one of these sides."""
    (height, width), (down, across) = of, proportions
    return [torch.minimum(height, width * down / across), torch.minimum(width, height * across / down)]


def matrix(side: Side, result: int, method: Resize) -> Tensor:
    """(result, pixels) float32: what each pixel of the side adds to each of the result. Worked out in float64."""
    place = torch.arange(result, dtype=torch.float64) - side.before
    scale = side.length / side.inner
    pixels = torch.arange(side.pixels, dtype=torch.float64)
    if method == "nearest":
        first = side.start + scale / 2
        steps = torch.where(place < 0, 0.0, torch.where(place == 0, first, scale))
        weights = (pixels == steps.cumsum(dim=0).floor()[:, None]).double()  # added up one by one, as Pillow does
    else:
        centre = side.start + (place + 0.5) * scale
        weights = _KERNELS[method]((pixels + 0.5 - centre[:, None]) / scale.clamp(min=1))
        weights = weights / weights.sum(dim=1, keepdim=True)
    filled = (place >= 0) & (place < side.inner)
    return torch.where(filled[:, None], weights, 0.0).float()


def _width_first(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _rounded(rows @ _rounded(pixels @ columns.T))


def _height_first(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _rounded(_rounded(rows @ pixels) @ columns.T)


def _rounded(pixels: Tensor) -> Tensor:
    return torch.floor(pixels + 0.5).clamp(0, 255)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic, "lanczos": _lanczos}
