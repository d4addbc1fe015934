"""Convolutions by the way that is fastest on this processor: Winograd's algorithm, or one matrix product."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from trainer.kernels import winograd
from trainer.kernels.plain import are_plain

_LARGEST_MAP, _FEWEST_CHANNELS = 16, 128
"""Where the product pays, in pixels of an output map and input channels. Forward and backward of one layer, 3 x 3, 32
images, one thread with AMX: 2.8 times faster for 512 channels at 4 x 4, 1.4 times for 128, even for 64; at 8 x 8 it
gains nothing. Without AMX it gains nothing anywhere."""


class Conv2d(nn.Conv2d):
    """A convolution that chooses, for the images it is given, between the ways that it may take and torch's own."""

    compiled = False
    """Whether there are kernels for Winograd's algorithm, which is for float32."""
    tiled = False
    """Whether the processor has matrix tiles (AMX), for products in bf16: rounded to it once, as oneDNN's sums are."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not are_plain(input, weight):
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        if self.compiled and dtype == torch.float32 and winograd.suits(input, self):
            result: Tensor = winograd.Winograd.apply(input, weight, self.stride[0])
        elif self.tiled and dtype == torch.bfloat16 and self._has_small_maps(input):
            result = _Product.apply(input.to(dtype), weight.to(dtype), self.stride[0], int(self.padding[0]))
        else:
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        return result if bias is None else result + bias.to(dtype)[:, None, None]

    def _has_small_maps(self, images: Tensor) -> bool:
        height, width = _map_sides(images, self.kernel_size[0], self.stride[0], int(self.padding[0]))
        return self.in_channels >= _FEWEST_CHANNELS and height * width <= _LARGEST_MAP


def choose_convolutions(model: nn.Module, *, compiled: bool = False, tiled: bool = False) -> None:
    """Lets convolutions of the model take these ways. Names, weights and copies of the model stay as they are."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = Conv2d
            module.compiled, module.tiled = compiled, tiled  # type: ignore[assignment]


def _is_plain(module: nn.Conv2d) -> bool:
    """Square in every respect, and without groups or dilation."""
    square = all(len(set(each)) == 1 for each in (module.kernel_size, module.stride, module.padding))
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    return square and plain and not isinstance(module.padding, str)


class _Product(torch.autograd.Function):
    """images (B, C, H, W), weight (K, C, k, k) -> (B, K, H', W'), channels last, all bf16."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(images, weight, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (images, weight), (grad,) = ctx.saved_tensors, grads
        stride, padding, kernel = ctx.stride, ctx.padding, weight.shape[-1]
        of_images = of_weight = None
        if ctx.needs_input_grad[0] and stride == 1:  # the same thing once more, with the kernel turned round
            of_images = _convolve(grad, weight.flip(2, 3).transpose(0, 1), 1, kernel - 1 - padding)
        elif ctx.needs_input_grad[0]:
            of_images = conv2d_input(images.shape, weight, grad, stride, padding)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            rows = grad.permute(0, 2, 3, 1).flatten(0, 2)  # (B H' W', K)
            product = rows.t() @ _patches(images, kernel, stride, padding)  # (K, k k C)
            of_weight = product.view(len(weight), kernel, kernel, -1).permute(0, 3, 1, 2)
        return of_images, of_weight, None, None


def _convolve(images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    kernel = weight.shape[-1]
    result = _patches(images, kernel, stride, padding) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
    return result.view(len(images), *_map_sides(images, kernel, stride, padding), -1).permute(0, 3, 1, 2)


def _map_sides(images: Tensor, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Height and width of the output's maps."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in images.shape[2:])
    return height, width


def _patches(images: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """(B H' W', k k C): under each output pixel the input pixels that it sees, with all their channels."""
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    seen = padded.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (B, H', W', C, k, k)
    return seen.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
