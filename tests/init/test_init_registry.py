"""What holds for every initialisation in the registry."""

import pytest
import torch
from torch import Tensor, nn

from trainer.registry import INITS, entries

NAMES = sorted(entries("init"))


class Residual(nn.Module):
    """A block whose last norm starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.norm(self.conv(x))
        return out


def small_net() -> nn.Sequential:
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), Residual(), nn.ReLU(inplace=True), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


def initialise(name: str, seed: int = 0) -> dict[str, Tensor]:
    model, batch = small_net(), torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(seed)
    INITS.builder(name)(model, batch)
    return model.state_dict()


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_their_running_statistics_stay_as_the_model_set_them(name: str) -> None:
    found, before = initialise(name), small_net().state_dict()
    norms = [key for key in before if key.startswith(("1.", "2.norm."))]
    assert len(norms) == 10
    assert all(torch.equal(found[key], before[key]) for key in norms)


@pytest.mark.parametrize("name", NAMES)
def test_modes_stay_as_they_were(name: str) -> None:
    model = small_net().train()
    model[1].eval()
    INITS.builder(name)(model, torch.randn(4, 3, 8, 8))
    assert [module.training for module in model] == [True, False, *[True] * 6]


@pytest.mark.parametrize("name", NAMES)
def test_no_hook_and_no_gradient_stays_behind(name: str) -> None:
    model = small_net()
    INITS.builder(name)(model, torch.randn(4, 3, 8, 8))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, again = initialise(name), initialise(name)
    assert all(torch.equal(value, again[key]) for key, value in first.items())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("keep", "whiten", "zeros")])
def test_another_seed_gives_other_weights(name: str) -> None:
    assert not torch.equal(initialise(name, seed=0)["7.weight"], initialise(name, seed=1)["7.weight"])


def test_keep_touches_nothing() -> None:
    found, before = initialise("keep"), small_net().state_dict()
    assert all(torch.equal(found[key], before[key]) for key in before)
