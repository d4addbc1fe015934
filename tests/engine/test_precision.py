"""What low precision leaves in float32: the weights, the statistics and sums of batch norm, and the loss."""

import os
from collections.abc import Iterator

import pytest
import torch
from fake_gpu import flags_put_back
from torch import nn

from trainer.engine.device import make_repeatable
from trainer.engine.precision import Precision, choose_precision, is_fast
from trainer.loss.cross_entropy import cross_entropy

CPU = torch.device("cpu")
EPS = {"bf16": 2.0**-8, "fp16": 2.0**-11}
"""Half the spacing of the numbers around 1: what one rounding costs."""


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_batch_norm_sums_in_float32_and_keeps_float32_statistics(name: str) -> None:
    torch.manual_seed(0)
    precision, conv, norm = Precision(name, CPU), nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
    images = 3 + torch.randn(64, 3, 12, 12)
    with precision.autocast():
        maps = conv(images)
        out = norm(maps)
    assert maps.dtype is {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
    assert norm.weight.dtype is norm.running_mean.dtype is norm.running_var.dtype is torch.float32
    exact = maps.detach().double()
    mean, variance = exact.mean((0, 2, 3)), exact.var((0, 2, 3))
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * variance, rtol=1e-5, atol=1e-6)
    bias, biased = mean.view(-1, 1, 1), exact.var((0, 2, 3), correction=0).view(-1, 1, 1)
    reference = (exact - bias) / (biased + norm.eps).sqrt()
    error = (out.detach().double() - reference).abs() / reference.abs().clamp(min=1)
    assert float(error.max()) <= 1.01 * EPS[name]  # one rounding, of the result
    low = (
        maps.detach().sum((0, 2, 3)) / maps[:, 0].numel()
    )  # the control: sums of this size are not exact in low precision
    assert low.dtype is maps.dtype and (low.double() - mean).abs().max() > 1e-5 * mean.abs().max()


@pytest.mark.parametrize("instructions", [False, True])
def test_a_processor_that_emulates_bf16_is_told_of(monkeypatch: pytest.MonkeyPatch, instructions: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("bf16", CPU).note.startswith("precision=bf16: cpu has no instructions") is not instructions
    assert not choose_precision("auto", CPU).note and not choose_precision("fp32", CPU).note


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_the_loss_and_the_weights_are_float32(name: str) -> None:
    torch.manual_seed(0)
    precision, layer = Precision(name, CPU), nn.Linear(4, 3)
    criterion = cross_entropy(torch.tensor([0, 1, 2]), ["a", "b", "c"])
    labels = torch.tensor([0, 1, 2, 0, 1])
    with precision.autocast():
        logits = layer(torch.randn(5, 4))
        inside = criterion.losses(logits, labels)
    outside = criterion.losses(logits, labels)
    rows = logits.detach().double()
    reference = rows.exp().sum(1).log() - rows[range(5), labels]
    assert logits.dtype is not torch.float32 and inside.dtype is outside.dtype is torch.float32
    torch.testing.assert_close(inside.detach().double(), reference, rtol=1e-6, atol=1e-7)
    inside.sum().backward()
    assert layer.weight.dtype is torch.float32
    assert layer.weight.grad is not None and layer.weight.grad.dtype is torch.float32


@pytest.fixture
def flags() -> Iterator[None]:
    with flags_put_back():
        yield


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize(("name", "rounded"), [("fp32", False), ("tf32", True), ("bf16", False), ("fp16", False)])
def test_cuda_multiplies_in_tf32_where_that_was_said_and_nowhere_else(name: str, rounded: bool) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not rounded
    Precision(name, torch.device("cuda")).set_products()
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (rounded, rounded)


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("deterministic", [True, False])
def test_determinism_is_asked_of_all_of_torch_on_cuda(deterministic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    make_repeatable(torch.device("cuda"), deterministic=deterministic)
    assert torch.are_deterministic_algorithms_enabled() is torch.backends.cudnn.deterministic is deterministic
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.benchmark is not deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_on_a_cpu_nothing_of_this_is_touched() -> None:
    make_repeatable(CPU, deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("capability", "told"), [((7, 5), True), ((8, 0), False)])
def test_a_gpu_without_tf32_is_told_of(
    capability: tuple[int, int], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    note = "precision=tf32: Tesla T4 has none, and computes in fp32."
    assert Precision("tf32", torch.device("cuda")).note == (note if told else "")


def test_what_was_trained_in_tf32_is_answered_in_fp32_elsewhere() -> None:
    assert is_fast(Precision("tf32", torch.device("cuda"))) and not is_fast(Precision("tf32", CPU))
