"""Muon, against singular values in float64 and against torch's own."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shared import Ended, fingerprint
from torch import Tensor, nn

from trainer.optim.adamw import adamw
from trainer.optim.muon import muon, orthogonalised

Matrix = NDArray[np.float64]


def by_singular_values(matrix: Matrix) -> Matrix:
    """U f(f(f(f(f(S / |S|))))) V^T, times 0.2 times the root of the longer side."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return 0.2 * math.sqrt(max(matrix.shape)) * (u * s) @ vt


def gradients(model: nn.Module, step: int) -> None:
    for number, parameter in enumerate(model.parameters()):
        generator = torch.Generator().manual_seed(10 * step + number)
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    convs = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1)]
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(4, 6), nn.Linear(6, 2)).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6), (1, 5)])
def test_a_matrix_keeps_its_directions_and_gets_equal_strengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = orthogonalised(1000 * matrix).numpy()
    assert np.allclose(found, by_singular_values(matrix.numpy()), atol=1e-9)
    strengths = np.linalg.svd(found, compute_uv=False) / (0.2 * math.sqrt(max(shape)))
    assert strengths.min() > 0.6 and strengths.max() < 1.3


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_kernels_of_a_convolution_step_by_the_formula(nesterov: bool) -> None:
    model = net()
    weight, velocity = model[0].weight.detach().double().flatten(1).numpy(), np.zeros((8, 27))
    optimizer = muon(model, lr=0.1, momentum=0.8, nesterov=nesterov, weight_decay=0.05)
    for step in range(3):
        gradients(model, step)
        grad = model[0].weight.grad.double().flatten(1).numpy()
        velocity = 0.8 * velocity + 0.2 * grad
        pull = 0.2 * grad + 0.8 * velocity if nesterov else velocity
        weight = (1 - 0.1 * 0.05) * weight - 0.1 * by_singular_values(pull)
        optimizer.step()
    assert np.allclose(model[0].weight.detach().double().flatten(1).numpy(), weight, atol=1e-5)


def test_matrices_step_as_in_torchs_own_but_for_its_rounding_to_bfloat16() -> None:
    ours, theirs = net(), net()
    optimizer = muon(ours, lr=0.1, weight_decay=0.05)
    original = torch.optim.Muon([theirs[5].weight], lr=0.1, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        gradients(ours, step)
        theirs[5].weight.grad = ours[5].weight.grad.clone()
        optimizer.step()
        original.step()
    moved = (ours[5].weight - net()[5].weight).norm()
    assert (ours[5].weight - theirs[5].weight).norm() < 0.02 * moved


def test_all_but_hidden_layers_step_as_in_adamw() -> None:
    ours, theirs = net(), net()
    optimizers = muon(ours, lr=0.1, weight_decay=0.05), adamw(theirs, lr=0.1, weight_decay=0.05)
    for step in range(3):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            gradients(model, step)
            optimizer.step()
    pairs = zip(ours.named_parameters(), theirs.parameters(), strict=True)
    alike = {name for (name, mine), other in pairs if torch.allclose(mine, other, atol=1e-5)}
    assert {name for name, _ in ours.named_parameters()} - alike == {"0.weight", "3.weight", "5.weight"}


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (64, 64), (32, 288)])
def test_a_step_has_the_root_mean_square_of_adams_whatever_the_shape(shape: tuple[int, int]) -> None:
    found = orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    assert float(found.square().mean().sqrt()) == pytest.approx(0.2, rel=0.25)


def test_a_gradient_of_zero_moves_nothing() -> None:
    model = net()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    muon(model, weight_decay=0.0).step()
    assert all(torch.equal(mine, old) for mine, old in zip(model.parameters(), before, strict=True))


def test_a_layer_keeps_one_memory_and_the_rest_two() -> None:
    model = net()
    optimizer = muon(model)
    gradients(model, 0)
    optimizer.step()
    kept: dict[str, set[str]] = {
        name: {key for key, value in optimizer.state[each].items() if isinstance(value, Tensor)}
        for name, each in model.named_parameters()
    }
    assert kept["0.weight"] == {"momentum"} and kept["6.weight"] == kept["0.bias"] == {"mean", "square"}


def test_a_run_is_killed_and_resumed_bit_identical(
    spawn: Callable[..., Ended], train: Callable[..., Ended], tmp_path: Path
) -> None:
    words = ("optim=muon", "optim.stage_decay=0.5", "init=whiten", "save_every=3")
    assert train(*words, "name=unbroken").code == 0
    assert spawn(*words, "name=killed", fault="kill@step=8").code == -9
    assert spawn(*words, "name=killed", "resume=auto").code == 0
    assert fingerprint(tmp_path / "outputs" / "killed") == fingerprint(tmp_path / "outputs" / "unbroken")
