"""Parameter groups and the optimizers built on them."""

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.optim.adamw import adamw
from trainer.optim.groups import param_groups
from trainer.optim.sgd import sgd

BUILDERS = [sgd, adamw]


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 3)
    )


def gradients(model, scale=1.0):
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)


def names_of(model, group):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


def test_only_weights_of_layers_decay():
    model = small_net()
    decayed, plain = param_groups(model)
    assert names_of(model, decayed) == ["0.weight", "5.weight"]
    assert names_of(model, plain) == ["0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "5.bias"]
    assert "weight_decay" not in decayed and plain["weight_decay"] == 0.0


def test_a_norm_of_several_dimensions_does_not_decay():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm((2, 4, 4)))
    assert names_of(model, param_groups(model)[1]) == ["0.bias", "1.weight", "1.bias"]


def test_frozen_parameters_are_left_out_and_empty_groups_too():
    model = small_net()
    model[0].requires_grad_(False)
    model[5].weight.requires_grad_(False)
    (plain,) = param_groups(model)
    assert names_of(model, plain) == ["1.weight", "1.bias", "4.weight", "4.bias", "5.bias"]


def test_a_model_frozen_altogether_is_refused():
    with pytest.raises(ConfigError, match="every parameter of the model is frozen"):
        param_groups(small_net().requires_grad_(False))


@pytest.mark.parametrize("builder", BUILDERS)
def test_decay_moves_weights_but_not_norms_and_biases(builder):
    model = small_net()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    gradients(model, scale=0.0)
    builder(param_groups(model), lr=0.1, weight_decay=0.5).step()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"0.weight", "5.weight"}


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_group_knows_its_base_rate(builder):
    assert [group["initial_lr"] for group in builder(param_groups(small_net()), lr=0.3).param_groups] == [0.3, 0.3]


def test_sgd_step_follows_its_formula():
    model = nn.Linear(2, 1, bias=False)
    start, grad = model.weight.detach().double().clone(), torch.tensor([[0.5, -1.0]])
    optimizer = sgd(param_groups(model), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    weight, velocity = start.clone(), torch.zeros_like(start)
    for _ in range(3):
        model.weight.grad = grad.clone()
        optimizer.step()
        pull = grad.double() + 0.01 * weight
        velocity = 0.9 * velocity + pull
        weight = weight - 0.1 * (pull + 0.9 * velocity)
    torch.testing.assert_close(model.weight.detach().double(), weight, rtol=0, atol=1e-6)


def test_adamw_step_follows_its_formula():
    model = nn.Linear(2, 1, bias=False)
    weight, grad = model.weight.detach().double().clone(), torch.tensor([[0.5, -1.0]])
    optimizer = adamw(param_groups(model), lr=0.1, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.05)
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for step in range(1, 4):
        model.weight.grad = grad.clone()
        optimizer.step()
        mean, square = 0.8 * mean + 0.2 * grad.double(), 0.9 * square + 0.1 * grad.double() ** 2
        weight = weight * (1 - 0.1 * 0.05)
        weight = weight - 0.1 * (mean / (1 - 0.8**step)) / ((square / (1 - 0.9**step)).sqrt() + 1e-3)
    torch.testing.assert_close(model.weight.detach().double(), weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_scaled_step_with_clipping_equals_the_plain_one_and_an_overflow_is_skipped(builder):
    plain, scaled = small_net(), small_net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizers = builder(param_groups(plain)), builder(param_groups(scaled))
    assert all(group["fused"] for group in optimizers[1].param_groups)

    gradients(plain)
    gradients(scaled, scale=1024.0)
    scaler.scale(torch.zeros(()))  # starts the scaler
    scaler.unscale_(optimizers[1])
    for model in (plain, scaled):
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizers[0].step()
    scaler.step(optimizers[1])
    scaler.update()
    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)

    before = [parameter.detach().clone() for parameter in scaled.parameters()]
    gradients(scaled, scale=float("inf"))
    scaler.step(optimizers[1])
    scaler.update()
    assert scaler.get_scale() == 512.0
    assert all(torch.equal(a, b) for a, b in zip(before, scaled.parameters(), strict=True))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ConfigError, match=r"optim\.nesterov=false"):
        sgd(param_groups(small_net()), momentum=0.0)
