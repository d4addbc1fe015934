"""What holds for every model in the registry, one that is added later included."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.model.staged import Staged, check
from trainer.registry import MODELS, REQUIRED, entries

MODELS_THAT_NEED_OPTIONS: dict[str, dict[str, Any]] = {"backbone": {"arch": "resnet18"}}
NAMES = sorted(entries("model"))


def build(name: str, num_classes: int = 5, in_channels: int = 3) -> Staged:
    model: Staged = MODELS.builder(name)(num_classes, in_channels, **MODELS_THAT_NEED_OPTIONS.get(name, {}))
    return model


def biased_before_norm(model: nn.Module) -> list[str]:
    """Names of convolutions with a bias whose next layer in order of execution is a batch norm."""
    order: list[tuple[str, nn.Module]] = []
    layers = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: order.append((name, layer)))
        for name, layer in layers
    ]
    model.eval()(torch.zeros(2, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return [
        name
        for (name, layer), (_, follower) in pairwise(order)
        if isinstance(layer, nn.Conv2d) and layer.bias is not None and isinstance(follower, nn.BatchNorm2d)
    ]


def test_every_model_with_a_required_option_is_built_by_these_tests() -> None:
    needy = {
        name for name, entry in entries("model").items() if REQUIRED in [o.default for o in entry.options.values()]
    }
    assert needy == set(MODELS_THAT_NEED_OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_stages_hold_every_parameter_exactly_once(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    held = [id(parameter) for stage in model.stages for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_stages_go_from_the_stem_to_the_head(name: str) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=5)
    stem, head = model.stages[0], model.stages[-1]
    assert next(layer for layer in stem.modules() if isinstance(layer, nn.Conv2d)).in_channels == 3
    assert [parameter.shape[0] for parameter in head.parameters()][-1] == 5


@pytest.mark.parametrize("in_channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("name", NAMES)
def test_two_images_give_logits_and_every_parameter_a_finite_gradient(name: str, in_channels: int) -> None:
    torch.manual_seed(0)
    model = build(name, in_channels=in_channels).train()
    logits = model(torch.randn(2, in_channels, 40, 40))  # 40: two values a channel and more in the last batch norm
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_no_convolution_before_a_batch_norm_has_a_bias(name: str) -> None:
    assert biased_before_norm(build(name)) == []


def test_a_bias_before_a_batch_norm_would_be_found() -> None:
    assert biased_before_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))) == ["0"]


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    model, images = build(name).eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected: Tensor = model(images)
        model.to(memory_format=torch.channels_last)
        found: Tensor = model(images.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_check_before_a_run_passes_and_changes_nothing(name: str) -> None:
    model = build(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    check(model, torch.randn(2, 3, 32, 32), num_classes=5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
