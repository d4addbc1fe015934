"""ResNets with the changes of "Bag of Tricks for Image Classification" (He et al. 2018), as fastai's XResNet has them.

Against the ResNet of 2015: a stem of three 3x3 convolutions instead of one 7x7 (ResNet-C); in a block that halves, the
3x3 convolution has the stride and the shortcut an average pool before its 1x1 convolution, so that no pixel is skipped
(ResNet-B and -D); the last norm of each block starts at zero, so that every block starts as its shortcut (section 3.1).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from trainer.model.layers import (
    ACTIVATIONS,
    SqueezeExcitation,
    StochasticDepth,
    blur_pool,
    conv_layer,
    noise_first,
    pooled_head,
)
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import Activation, BelowOne, HeadInit, Match, NonNegative, Pooling

STEM_WIDTHS = (32, 32, 64)
STAGE_WIDTHS = (64, 128, 256, 512)
BASIC, BOTTLENECK = 1, 4
"""The kinds of block, by how many times its width a block gives out."""


@dataclass(frozen=True)
class Look:
    """What the stem and the blocks of a network have in common."""

    stem_stride: int
    zero_gamma: bool
    activation: Activation
    blur_pool: bool
    squeeze_excitation: bool
    stochastic_depth: float
    noise: float


@MODELS.register
def xresnet18(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    activation: Activation = "relu",
    pooling: Pooling = "average",
    blur_pool: bool = False,
    squeeze_excitation: bool = False,
    stochastic_depth: BelowOne = 0.0,
    dropout: BelowOne = 0.0,
    noise: NonNegative = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """The 18-layer XResNet: 11.7 million parameters; the lightest residual network here."""
    look = Look(stem_stride, zero_gamma, activation, blur_pool, squeeze_excitation, stochastic_depth, noise)
    body, channels = _body(in_channels, BASIC, (2, 2, 2, 2), look)
    return with_weights(
        Chain(**body, head=pooled_head(channels, num_classes, dropout, pooling)), weights, head_init, match
    )


@MODELS.register
def xresnet34(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    activation: Activation = "relu",
    pooling: Pooling = "average",
    blur_pool: bool = False,
    squeeze_excitation: bool = False,
    stochastic_depth: BelowOne = 0.0,
    dropout: BelowOne = 0.0,
    noise: NonNegative = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """The 34-layer XResNet: 21.8 million parameters; deeper than xresnet18, twice the work."""
    look = Look(stem_stride, zero_gamma, activation, blur_pool, squeeze_excitation, stochastic_depth, noise)
    body, channels = _body(in_channels, BASIC, (3, 4, 6, 3), look)
    return with_weights(
        Chain(**body, head=pooled_head(channels, num_classes, dropout, pooling)), weights, head_init, match
    )


@MODELS.register
def xresnet50(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    activation: Activation = "relu",
    pooling: Pooling = "average",
    blur_pool: bool = False,
    squeeze_excitation: bool = False,
    stochastic_depth: BelowOne = 0.0,
    dropout: BelowOne = 0.0,
    noise: NonNegative = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """The 50-layer XResNet with bottleneck blocks: 25.6 million parameters; for larger images and longer runs."""
    look = Look(stem_stride, zero_gamma, activation, blur_pool, squeeze_excitation, stochastic_depth, noise)
    body, channels = _body(in_channels, BOTTLENECK, (3, 4, 6, 3), look)
    return with_weights(
        Chain(**body, head=pooled_head(channels, num_classes, dropout, pooling)), weights, head_init, match
    )


@MODELS.register
def xresnet101(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    activation: Activation = "relu",
    pooling: Pooling = "average",
    blur_pool: bool = False,
    squeeze_excitation: bool = False,
    stochastic_depth: BelowOne = 0.0,
    dropout: BelowOne = 0.0,
    noise: NonNegative = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """The 101-layer XResNet with bottleneck blocks: 44.6 million parameters; for many images, on a GPU."""
    look = Look(stem_stride, zero_gamma, activation, blur_pool, squeeze_excitation, stochastic_depth, noise)
    body, channels = _body(in_channels, BOTTLENECK, (3, 4, 23, 3), look)
    return with_weights(
        Chain(**body, head=pooled_head(channels, num_classes, dropout, pooling)), weights, head_init, match
    )


class ResidualBlock(nn.Module):
    """Activation(branch(x) + shortcut(x))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, activation: Activation) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.branch(x) + self.shortcut(x))
        return out


def _body(in_channels: int, expansion: int, depths: tuple[int, ...], look: Look) -> tuple[dict[str, nn.Module], int]:
    """All steps before the head, by name, and how many channels they give.

    The chance that a block is skipped grows evenly from the first block to the last, which has all of it.
    """
    steps, channels, number = {**noise_first(look.noise), "stem": _stem(in_channels, look)}, STEM_WIDTHS[-1], 0
    for index, (width, depth) in enumerate(zip(STAGE_WIDTHS, depths, strict=True)):
        blocks = nn.Sequential()
        for place in range(depth):
            number += 1
            drop = look.stochastic_depth * number / sum(depths)
            stride = 2 if index > 0 and place == 0 else 1
            blocks.append(_block(channels, width, expansion, stride, drop, look))
            channels = width * expansion
        steps[f"stage{index + 1}"] = blocks
    return steps, channels


def _stem(in_channels: int, look: Look) -> nn.Sequential:
    widths = (in_channels, *STEM_WIDTHS)
    strides = (1 if look.stem_stride == 1 else 2, 1, 1)
    stem = nn.Sequential()
    for (before, after), stride in zip(pairwise(widths), strides, strict=True):
        stem.append(conv_layer(before, after, stride=stride, activation=look.activation))
    if look.stem_stride < 4:
        return stem
    pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), blur_pool()) if look.blur_pool else nn.MaxPool2d(3, 2, 1)
    return stem.append(pool)


def _block(in_channels: int, width: int, expansion: int, stride: int, drop: float, look: Look) -> ResidualBlock:
    out_channels = width * expansion
    basic = expansion == BASIC
    branch = nn.Sequential() if basic else nn.Sequential(conv_layer(in_channels, width, 1, activation=look.activation))
    branch.append(_three_by_three(in_channels if basic else width, width, stride, look))
    last = conv_layer(width, out_channels, 3 if basic else 1, activation=None)
    if look.zero_gamma:
        norm = last[-1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)
    branch.append(last)
    if look.squeeze_excitation:
        branch.append(SqueezeExcitation(out_channels))
    if drop:
        branch.append(StochasticDepth(drop))
    return ResidualBlock(branch, _shortcut(in_channels, out_channels, stride), look.activation)


def _three_by_three(in_channels: int, width: int, stride: int, look: Look) -> nn.Sequential:
    """The convolution that may halve: by its stride, or by a blur behind it."""
    if stride == 2 and look.blur_pool:
        return conv_layer(in_channels, width, activation=look.activation).append(blur_pool())
    return conv_layer(in_channels, width, stride=stride, activation=look.activation)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    shortcut = nn.Sequential()
    if stride > 1:
        shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))  # rounds up, as the strided convolution does
    if in_channels != out_channels:
        shortcut.append(conv_layer(in_channels, out_channels, 1, activation=None))
    return shortcut
