"""XResNet against the paper's structure and published parameter counts."""

import pytest
import torch
from torch import nn

from trainer.model.staged import Chain
from trainer.model.xresnet import ResidualBlock, xresnet18, xresnet34, xresnet50

PUBLISHED = {"18": 11_708_744, "34": 21_816_904, "50": 25_576_264}  # ResNet-D at 1000 classes, e.g. resnet50d in timm
BUILDERS = {"18": xresnet18, "34": xresnet34, "50": xresnet50}
DEPTHS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3)}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_by_formula(size: str, num_classes: int, in_channels: int) -> int:
    """Convolutions without bias, two numbers a channel for each norm, a linear head."""

    def conv(before: int, after: int, kernel: int) -> int:
        return before * after * kernel**2 + 2 * after

    expansion = 4 if size == "50" else 1
    total, channels = conv(in_channels, 32, 3) + conv(32, 32, 3) + conv(32, 64, 3), 64
    for width, depth in zip((64, 128, 256, 512), DEPTHS[size], strict=True):
        for _ in range(depth):
            after = width * expansion
            if size == "50":
                total += conv(channels, width, 1) + conv(width, width, 3) + conv(width, after, 1)
            else:
                total += conv(channels, width, 3) + conv(width, after, 3)
            total += conv(channels, after, 1) if channels != after else 0
            channels = after
    return total + channels * num_classes + num_classes


@pytest.mark.parametrize("size", BUILDERS)
def test_parameters_are_as_many_as_published(size: str) -> None:
    with torch.device("meta"):
        assert count(BUILDERS[size](1000, 3)) == PUBLISHED[size] == count_by_formula(size, 1000, 3)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("size", BUILDERS)
def test_parameters_follow_the_formula_for_other_classes_and_channels(size: str, in_channels: int) -> None:
    with torch.device("meta"):
        assert count(BUILDERS[size](10, in_channels)) == count_by_formula(size, 10, in_channels)


@pytest.mark.parametrize("size", BUILDERS)
def test_stages_give_the_shapes_of_the_paper(size: str) -> None:
    with torch.device("meta"):
        model, x, shapes = BUILDERS[size](1000, 3), torch.zeros(2, 3, 224, 224), []
        for stage in model.stages:
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    wide = 4 if size == "50" else 1
    body = [(64 * wide, 56, 56), (128 * wide, 28, 28), (256 * wide, 14, 14), (512 * wide, 7, 7)]
    assert shapes == [(64, 56, 56), *body, (1000,)]


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_stem_stride_divides_height_and_width(stem_stride: int) -> None:
    model = xresnet18(10, 3, stem_stride=stem_stride)  # type: ignore[arg-type]
    assert model.stages[0](torch.zeros(1, 3, 32, 32)).shape == (1, 64, 32 // stem_stride, 32 // stem_stride)


def test_the_bottleneck_halves_in_its_3x3_convolution() -> None:
    block = xresnet50(10, 3).stages[2].get_submodule("0")
    convs = [layer for layer in block.get_submodule("branch").modules() if isinstance(layer, nn.Conv2d)]
    assert [(conv.kernel_size[0], conv.stride[0]) for conv in convs] == [(1, 1), (3, 2), (1, 1)]


def test_a_shortcut_averages_before_its_1x1_convolution_so_that_no_pixel_is_skipped() -> None:
    shortcut = xresnet18(10, 3).stages[2].get_submodule("0").get_submodule("shortcut")
    skipping = nn.Conv2d(64, 128, 1, stride=2)  # the ResNet of 2015, as a control
    assert share_of_pixels_seen(shortcut) == 1.0
    assert share_of_pixels_seen(skipping) == 0.25


def share_of_pixels_seen(layer: nn.Module) -> float:
    images = torch.randn(2, 64, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(images).square().sum(), images)
    return float(gradient.ne(0).any(dim=1).float().mean())


def blocks_of(model: Chain) -> list[ResidualBlock]:
    return [module for module in model.modules() if isinstance(module, ResidualBlock)]


@pytest.mark.parametrize("size", BUILDERS)
def test_each_block_starts_as_its_shortcut(size: str) -> None:
    blocks = blocks_of(BUILDERS[size](10, 3))
    assert len(blocks) == sum(DEPTHS[size])
    for block in blocks:
        channels = next(layer for layer in block.modules() if isinstance(layer, nn.Conv2d)).in_channels
        x = torch.randn(1, channels, 4, 4)
        assert torch.equal(block(x), block.shortcut(x).relu())


def test_without_zero_gamma_a_block_is_not_its_shortcut() -> None:
    block, x = blocks_of(xresnet18(10, 3, zero_gamma=False))[0], torch.randn(1, 64, 4, 4)
    assert not torch.allclose(block(x), block.shortcut(x).relu())


def test_odd_sizes_and_single_pixels_pass() -> None:
    model = xresnet18(10, 1).eval()
    assert model(torch.zeros(1, 1, 37, 51)).shape == (1, 10)
    assert model(torch.zeros(1, 1, 1, 1)).shape == (1, 10)
