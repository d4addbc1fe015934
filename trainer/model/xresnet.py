"""ResNets with the changes of "Bag of Tricks for Image Classification" (He et al. 2018), as fastai's XResNet has them.

Against the ResNet of 2015: a stem of three 3x3 convolutions instead of one 7x7 (ResNet-C); in a block that halves, the
3x3 convolution has the stride and the shortcut an average pool before its 1x1 convolution, so that no pixel is skipped
(ResNet-B and -D); the last norm of each block starts at zero, so that every block starts as its shortcut (section 3.1).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from trainer.model.layers import conv_norm, pooled_head
from trainer.model.staged import Chain
from trainer.registry import MODELS
from trainer.schema import BelowOne

STEM_WIDTHS = (32, 32, 64)
STAGE_WIDTHS = (64, 128, 256, 512)

Residual = Callable[[int, int, int], nn.Sequential]
"""(in_channels, width, stride) -> the residual branch, which ends in a norm."""


@MODELS.register
def xresnet18(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    dropout: BelowOne = 0.0,
) -> Chain:
    """The 18-layer XResNet: 11.7 million parameters; the lightest residual network here."""
    return _xresnet(num_classes, in_channels, _basic, 1, (2, 2, 2, 2), stem_stride, zero_gamma, dropout)


@MODELS.register
def xresnet34(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    dropout: BelowOne = 0.0,
) -> Chain:
    """The 34-layer XResNet: 21.8 million parameters; deeper than xresnet18, twice the work."""
    return _xresnet(num_classes, in_channels, _basic, 1, (3, 4, 6, 3), stem_stride, zero_gamma, dropout)


@MODELS.register
def xresnet50(
    num_classes: int,
    in_channels: int,
    *,
    stem_stride: Literal[1, 2, 4] = 4,
    zero_gamma: bool = True,
    dropout: BelowOne = 0.0,
) -> Chain:
    """The 50-layer XResNet with bottleneck blocks: 25.6 million parameters; for larger images and longer runs."""
    return _xresnet(num_classes, in_channels, _bottleneck, 4, (3, 4, 6, 3), stem_stride, zero_gamma, dropout)


class ResidualBlock(nn.Module):
    """ReLU(branch(x) + shortcut(x))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.branch(x) + self.shortcut(x))
        return out


def _xresnet(
    num_classes: int,
    in_channels: int,
    residual: Residual,
    expansion: int,
    depths: tuple[int, ...],
    stem_stride: int,
    zero_gamma: bool,
    dropout: float,
) -> Chain:
    stages, channels = [_stem(in_channels, stem_stride)], STEM_WIDTHS[-1]
    for index, (width, depth) in enumerate(zip(STAGE_WIDTHS, depths, strict=True)):
        blocks = []
        for number in range(depth):
            stride = 2 if index > 0 and number == 0 else 1
            blocks.append(_block(residual, channels, width, width * expansion, stride, zero_gamma))
            channels = width * expansion
        stages.append(nn.Sequential(*blocks))
    stem, stage1, stage2, stage3, stage4 = stages
    head = pooled_head(channels, num_classes, dropout)
    return Chain(stem=stem, stage1=stage1, stage2=stage2, stage3=stage3, stage4=stage4, head=head)


def _stem(in_channels: int, stride: int) -> nn.Sequential:
    widths = (in_channels, *STEM_WIDTHS)
    strides = (1 if stride == 1 else 2, 1, 1)
    convs = [
        conv_norm(before, after, stride=step) for (before, after), step in zip(pairwise(widths), strides, strict=True)
    ]
    return nn.Sequential(*convs, nn.MaxPool2d(3, stride=2, padding=1)) if stride == 4 else nn.Sequential(*convs)


def _block(
    residual: Residual, in_channels: int, width: int, out_channels: int, stride: int, zero_gamma: bool
) -> ResidualBlock:
    branch = residual(in_channels, width, stride)
    if zero_gamma:
        last_norm = list(branch.modules())[-1]
        assert isinstance(last_norm, nn.BatchNorm2d)
        nn.init.zeros_(last_norm.weight)
    shortcut = nn.Sequential()
    if stride > 1:
        shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))  # rounds up, as the strided convolution does
    if in_channels != out_channels:
        shortcut.append(conv_norm(in_channels, out_channels, kernel=1, act=False))
    return ResidualBlock(branch, shortcut)


def _basic(in_channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(in_channels, width, stride=stride), conv_norm(width, width, act=False))


def _bottleneck(in_channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(in_channels, width, kernel=1),
        conv_norm(width, width, stride=stride),
        conv_norm(width, width * 4, kernel=1, act=False),
    )
