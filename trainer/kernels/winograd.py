"""3x3 convolutions in float32 by Winograd's algorithm, with a quarter of the multiplications: see winograd.c."""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.compiled import call

_PANEL, _TILE = 16, 4
_FEWEST_TILES = {1: 16, 2: 128}
"""Of a batch, by stride. With fewer, transforming the weights costs what it saves in multiplications."""
_LARGEST_SHARE = 2.0
"""Pixels of the tiles over those of the output, at most: tiles stand over at the edges, for nothing."""


def suits(images: Tensor, module: nn.Conv2d) -> bool:
    """Whether the kernels can compute this convolution of images (B, C, H, W), and do it faster."""
    out, channels, *kernel = module.weight.shape  # what is computed with, whatever the module was made for
    return (
        images.dim() == 4
        and images.device.type == "cpu"
        and images.dtype == module.weight.dtype == torch.float32
        and images.shape[1] == channels
        and channels % _PANEL == out % _PANEL == 0
        and (kernel, module.padding) == ([3, 3], (1, 1))
        and module.stride in ((1, 1), (2, 2))
        and images.is_contiguous(memory_format=torch.channels_last)
        and _pays(images, module.stride[0])
    )


def _pays(images: Tensor, stride: int) -> bool:
    height, width = _sides(images, stride)
    down, across = -(-height // _TILE), -(-width // _TILE)
    few = len(images) * down * across < _FEWEST_TILES[stride]
    return not few and down * across * _TILE**2 <= _LARGEST_SHARE * height * width


class Winograd(torch.autograd.Function):
    """images (B, C, H, W), weight (K, C, 3, 3) -> (B, K, H', W'), every stride-th pixel; channels last, float32.

    Its rounding is that of F(4x4, 3x3): about 1e-4 of the results' standard deviation, where direct sums have 1e-5.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        result = _empty(len(images), len(weight), *_sides(images, stride))
        out, inner, *inside = weight.stride()
        sizes = (*_sizes(images), len(weight), _in_c(out, inner, *inside))
        call("winograd_convolve", images, weight, result, *sizes, stride, False)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (images, weight), grad = ctx.saved_tensors, grads[0].contiguous(memory_format=torch.channels_last)
        (batch, height, width, channels), stride = _sizes(images), ctx.stride
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _empty(*images.shape)
            out, inner, *inside = weight.stride()
            sizes = (batch, height, width, len(weight), channels, _in_c(inner, out, *inside))
            call("winograd_convolve", grad, weight, of_images, *sizes, stride, True)
        if ctx.needs_input_grad[1]:
            of_weight = _empty(*weight.shape)
            call("winograd_weights", images, grad, of_weight, *_sizes(images), len(weight), stride)
        return of_images, of_weight, None


def _sides(images: Tensor, stride: int) -> tuple[int, int]:
    """Height and width of the output."""
    height, width = (-(-side // stride) for side in images.shape[2:])
    return height, width


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, memory_format=torch.channels_last)


def _sizes(images: Tensor) -> tuple[int, int, int, int]:
    """Batch, height, width and channels."""
    batch, channels, height, width = images.shape
    return batch, height, width, channels


def _in_c(*strides: int) -> "ctypes.Array[ctypes.c_ssize_t]":
    return (ctypes.c_ssize_t * len(strides))(*strides)
