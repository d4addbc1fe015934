"""Convolutions as matrix products give what convolutions give."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from trainer.engine import convolution
from trainer.engine.convolution import MatrixConvolution, use_matrix_products


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
    ("side", "kernel", "stride", "padding"),
    [(4, 3, 1, 1), (7, 3, 2, 1), (4, 1, 1, 0), (8, 1, 2, 0), (5, 3, 1, 0), (8, 5, 2, 2), (1, 3, 1, 1)],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_small_map_and_its_gradients_are_those_of_the_convolution_in_double_precision(
    side: int, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    torch.manual_seed(0)
    exact = nn.Conv2d(24, 20, kernel, stride, padding, bias=bias).double()
    exact.weight.data = _rounded(*exact.weight.shape)
    product = deepcopy(exact).bfloat16()
    product.__class__ = MatrixConvolution
    images = _rounded(3, 24, side, side)
    seed = _rounded(*exact(images).shape)
    assert seed[0, 0].numel() <= convolution._LARGEST_MAP

    for ours, true in zip(_grads(product, images.bfloat16(), seed), _grads(exact, images, seed), strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours.double() - true).norm() < 0.005 * true.norm()  # bf16 keeps 8 bits: 0.004 at most, once


def test_a_large_map_or_fp32_stays_as_it_is() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(8, 8, 3, padding=1)
    product = deepcopy(module)
    product.__class__ = MatrixConvolution
    small, large = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 5, 5)
    assert torch.equal(product(small), module(small))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(product(large), module(large))


def test_autocast_decides_the_arithmetic_as_for_any_convolution() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(8, 8, 3, padding=1)
    product = deepcopy(module)
    product.__class__ = MatrixConvolution
    images = torch.randn(2, 8, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = product(images), module(images)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs, rtol=0.01, atol=0.02)
    ours.sum().backward()
    assert product.weight.grad is not None and product.weight.grad.dtype == torch.float32


def test_only_plain_convolutions_with_many_channels_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    plain = nn.Conv2d(128, 4, 3)
    others = [
        nn.Conv2d(64, 4, 3),
        nn.Conv2d(128, 4, 3, groups=2),
        nn.Conv2d(128, 4, 3, dilation=2),
        nn.Conv2d(128, 4, (1, 3)),
        nn.Conv2d(128, 4, 3, padding="same"),
        nn.Conv2d(128, 4, 3, padding=1, padding_mode="reflect"),
    ]
    model = nn.Sequential(plain, *others)
    names = list(model.state_dict())
    use_matrix_products(model)
    assert type(plain) is MatrixConvolution
    assert all(type(other) is nn.Conv2d for other in others)
    assert list(deepcopy(model).state_dict()) == names


def test_nothing_is_changed_where_the_processor_has_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    model = nn.Sequential(nn.Conv2d(128, 4, 3))
    use_matrix_products(model)
    assert type(model[0]) is nn.Conv2d
