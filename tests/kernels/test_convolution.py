"""Convolutions as matrix products, for bf16 on processors with matrix tiles, give what convolutions give."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from trainer.kernels import convolution
from trainer.kernels.convolution import Conv2d, choose_convolutions
from trainer.kernels.use import use_kernels


def _rounded(*shape: int) -> Tensor:
    """Numbers that bf16 holds exactly, as float64."""
    return torch.randn(*shape).bfloat16().double()


def _grads(module: nn.Conv2d, images: Tensor, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    images = images.clone().requires_grad_()
    result = module(images)
    result.backward(seed.to(result.dtype))
    assert images.grad is not None and module.weight.grad is not None
    return result.detach(), images.grad, module.weight.grad


@pytest.mark.parametrize(
    ("sides", "kernel", "stride", "padding"),
    [
        *[((4, 4), 3, 1, 1), ((7, 7), 3, 2, 1), ((4, 4), 1, 1, 0), ((8, 8), 1, 2, 0), ((5, 5), 3, 1, 0)],
        *[((8, 8), 5, 2, 2), ((1, 1), 3, 1, 1), ((2, 7), 3, 1, 1), ((5, 3), 3, 2, 1), ((7, 4), 3, 1, 0)],
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_small_map_and_its_gradients_are_those_of_the_convolution_in_double_precision(
    sides: tuple[int, int], kernel: int, stride: int, padding: int, bias: bool
) -> None:
    torch.manual_seed(0)
    exact = nn.Conv2d(128, 20, kernel, stride, padding, bias=bias).double()
    exact.weight.data = _rounded(*exact.weight.shape)
    product = deepcopy(exact).bfloat16()
    product.__class__, product.tiled = Conv2d, True
    images = _rounded(3, 128, *sides)
    seed = _rounded(*exact(images).shape)
    assert seed[0, 0].numel() <= convolution._LARGEST_MAP

    for ours, true in zip(_grads(product, images.bfloat16(), seed), _grads(exact, images, seed), strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours.double() - true).norm() < 0.005 * true.norm()  # bf16 keeps 8 bits: 0.004 at most, once


def test_a_large_map_or_few_channels_or_fp32_stay_as_they_are() -> None:
    torch.manual_seed(0)
    module, thin = nn.Conv2d(128, 8, 3, padding=1), nn.Conv2d(64, 8, 3, padding=1)
    small, large = torch.randn(2, 128, 4, 4), torch.randn(2, 128, 5, 5)
    model = nn.ModuleList([deepcopy(module), deepcopy(thin)])
    for product in model:
        product.__class__, product.tiled = Conv2d, True
    assert torch.equal(model[0](small), module(small))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model[0](large), module(large))
        assert torch.equal(model[1](small[:, :64]), thin(small[:, :64]))


def test_autocast_decides_the_arithmetic_as_for_any_convolution() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(128, 8, 3, padding=1)
    product = deepcopy(module)
    product.__class__, product.tiled = Conv2d, True
    images = torch.randn(2, 128, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = product(images), module(images)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs, rtol=0.01, atol=0.02)
    ours.sum().backward()
    assert product.weight.grad is not None and product.weight.grad.dtype == torch.float32


def test_only_plain_convolutions_are_changed() -> None:
    plain = nn.Conv2d(128, 4, 3)
    others = [
        nn.Conv2d(128, 4, 3, groups=2),
        nn.Conv2d(128, 4, 3, dilation=2),
        nn.Conv2d(128, 4, (1, 3)),
        nn.Conv2d(128, 4, 3, padding="same"),
        nn.Conv2d(128, 4, 3, padding=1, padding_mode="reflect"),
    ]
    model = nn.Sequential(plain, *others)
    names = list(model.state_dict())
    choose_convolutions(model, tiled=True)
    assert type(plain) is Conv2d
    assert all(type(other) is nn.Conv2d for other in others)
    assert list(deepcopy(model).state_dict()) == names


@pytest.mark.parametrize(("there", "name"), [(True, "matrix products"), (False, "torch")])
def test_bf16_is_computed_by_products_where_the_processor_has_tiles(
    monkeypatch: pytest.MonkeyPatch, there: bool, name: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: there)
    model = nn.Sequential(nn.Conv2d(128, 4, 3), nn.BatchNorm2d(4))
    assert use_kernels(model, torch.bfloat16).name == name
    assert type(model[0]) is (Conv2d if there else nn.Conv2d) and type(model[1]) is nn.BatchNorm2d
