"""Parameter groups and the optimizers built on them."""

import math

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.optim.adagrad import adagrad
from trainer.optim.adam import adam
from trainer.optim.adamw import adamw
from trainer.optim.groups import param_groups
from trainer.optim.lamb import lamb
from trainer.optim.muon import muon
from trainer.optim.rmsprop import rmsprop
from trainer.optim.sgd import sgd

BUILDERS = [sgd, adagrad, rmsprop, adam, adamw, lamb, muon]
WITH_CHOICE = [sgd, adagrad, rmsprop]
"""The optimizers whose decay is a choice."""


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 3)
    )


class Staged(nn.Sequential):
    """Three stages of one linear layer each."""

    def __init__(self):
        super().__init__(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))

    @property
    def stages(self):
        return list(self.children())


def gradients(model, scale=1.0):
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)


def names_of(model, group):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


def test_only_weights_of_layers_decay():
    model = small_net()
    decayed, plain = param_groups(model, 0.1, 0.5)
    assert names_of(model, decayed) == ["0.weight", "5.weight"]
    assert names_of(model, plain) == ["0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "5.bias"]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)
    assert len(param_groups(model, 0.1)) == 1  # without a decay there is nothing to divide


def test_a_norm_of_several_dimensions_does_not_decay():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm((2, 4, 4)))
    assert names_of(model, param_groups(model, 0.1, 0.5)[1]) == ["0.bias", "1.weight", "1.bias"]


def test_frozen_parameters_are_left_out_and_empty_groups_too():
    model = small_net()
    model[0].requires_grad_(False)
    model[5].weight.requires_grad_(False)
    (plain,) = param_groups(model, 0.1, 0.5)
    assert names_of(model, plain) == ["1.weight", "1.bias", "4.weight", "4.bias", "5.bias"]


def test_a_model_frozen_altogether_is_refused():
    with pytest.raises(ConfigError, match="every parameter of the model is frozen"):
        param_groups(small_net().requires_grad_(False), 0.1)


@pytest.mark.parametrize("builder", BUILDERS)
def test_decay_moves_weights_but_not_norms_and_biases(builder):
    model = small_net()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    gradients(model, scale=0.0)
    builder(model, lr=0.1, weight_decay=0.5).step()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"0.weight", "5.weight"}


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_group_knows_its_base_rate(builder):
    groups = builder(small_net(), lr=0.3, weight_decay=0.1).param_groups
    assert len(groups) >= 2 and {group["initial_lr"] for group in groups} == {0.3}


GRADS = [torch.tensor([[0.5, -1.0]]), torch.tensor([[0.25, 2.0]]), torch.tensor([[-1.5, 0.125]])]


def stepped(builder, **options):
    """(before, after): the weights of a (1, 2) linear layer after the three gradients, in float64."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().double().clone()
    optimizer = builder(model, lr=0.1, **options)
    for grad in GRADS:
        model.weight.grad = grad.clone()
        optimizer.step()
    return before, model.weight.detach().double()


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("nesterov", "dampening"), [(True, 0.0), (False, 0.0), (False, 0.3)])
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_sgd_follows_its_formula_step_by_step(nesterov, dampening, decay):
    weight, after = stepped(sgd, momentum=0.9, nesterov=nesterov, dampening=dampening, weight_decay=0.01, decay=decay)
    velocity = torch.zeros_like(weight)
    for grad in GRADS:
        pull = grad.double() + (0.01 * weight if decay == "l2" else 0)
        velocity = 0.9 * velocity + (1 - dampening) * pull
        weight = weight - (0.1 * 0.01 * weight if decay == "decoupled" else 0)
        weight = weight - 0.1 * (pull + 0.9 * velocity if nesterov else velocity)
    close(after, weight)


def test_debiased_momentum_steps_along_the_weighted_mean_of_the_gradients():
    weight, after = stepped(sgd, momentum=0.8, nesterov=False, debias=True, weight_decay=0.01)
    pulls = []
    for grad in GRADS:
        pulls.append(grad.double() + 0.01 * weight)
        shares = [0.8**age for age in reversed(range(len(pulls)))]
        mean = sum(share * pull for share, pull in zip(shares, pulls, strict=True)) / sum(shares)
        weight = weight - 0.1 * mean
    close(after, weight)


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_adagrad_follows_its_formula_step_by_step(decay):
    weight, after = stepped(adagrad, eps=1e-3, weight_decay=0.05, decay=decay)
    total = torch.zeros_like(weight)
    for grad in GRADS:
        pull = grad.double() + (0.05 * weight if decay == "l2" else 0)
        total = total + pull**2
        weight = weight * (1 - 0.1 * 0.05 if decay == "decoupled" else 1)
        weight = weight - 0.1 * pull / (total.sqrt() + 1e-3)
    close(after, weight)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_rmsprop_follows_its_formula_step_by_step(momentum, centered, decay):
    options = {"alpha": 0.9, "eps": 1e-3, "momentum": momentum, "centered": centered}
    weight, after = stepped(rmsprop, weight_decay=0.05, decay=decay, **options)
    square, mean, velocity = (torch.zeros_like(weight) for _ in range(3))
    for grad in GRADS:
        pull = grad.double() + (0.05 * weight if decay == "l2" else 0)
        square, mean = 0.9 * square + 0.1 * pull**2, 0.9 * mean + 0.1 * pull
        spread = square - mean**2 if centered else square
        velocity = momentum * velocity + pull / (spread.sqrt() + 1e-3)
        weight = weight * (1 - 0.1 * 0.05 if decay == "decoupled" else 1) - 0.1 * velocity
    close(after, weight)


@pytest.mark.parametrize("builder", [adam, adamw])
def test_adam_decays_by_the_gradient_and_adamw_beside_it(builder):
    weight, after = stepped(builder, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.05)
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for step, grad in enumerate(GRADS, start=1):
        pull = grad.double() + (0.05 * weight if builder is adam else 0)
        mean, square = 0.8 * mean + 0.2 * pull, 0.9 * square + 0.1 * pull**2
        weight = weight * (1 - 0.1 * 0.05 if builder is adamw else 1)
        weight = weight - 0.1 * (mean / (1 - 0.8**step)) / ((square / (1 - 0.9**step)).sqrt() + 1e-3)
    close(after, weight)


def test_lamb_follows_the_algorithm_of_its_paper_line_by_line():
    """You et al. 2020, algorithm 2, for two layers at once, in plain Python."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    layers = [parameter.flatten().tolist() for parameter in model.parameters()]
    optimizer = lamb(model, lr=0.1, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.05)
    m, v = [[0.0] * len(x) for x in layers], [[0.0] * len(x) for x in layers]
    for t in range(1, 4):
        gradients = [[math.sin(7 * t + 3 * i + index) for index in range(len(x))] for i, x in enumerate(layers)]
        for parameter, g in zip(model.parameters(), gradients, strict=True):
            parameter.grad = torch.tensor(g).view_as(parameter)
        optimizer.step()
        for i, (x, g) in enumerate(zip(layers, gradients, strict=True)):
            m[i] = [0.8 * a + 0.2 * b for a, b in zip(m[i], g, strict=True)]
            v[i] = [0.9 * a + 0.1 * b * b for a, b in zip(v[i], g, strict=True)]
            r = [
                (a / (1 - 0.8**t)) / (math.sqrt(b / (1 - 0.9**t)) + 1e-3) + 0.05 * weight
                for a, b, weight in zip(m[i], v[i], x, strict=True)
            ]
            ratio = math.hypot(*x) / math.hypot(*r)
            layers[i] = [weight - 0.1 * ratio * each for weight, each in zip(x, r, strict=True)]
    for parameter, x in zip(model.parameters(), layers, strict=True):
        close(parameter.detach().double().flatten(), torch.tensor(x, dtype=torch.float64))


def test_lamb_moves_weights_that_are_zero_and_steps_biases_as_adamw_does():
    ours, theirs = nn.Linear(2, 2), nn.Linear(2, 2)
    theirs.load_state_dict(ours.state_dict())
    nn.init.zeros_(ours.weight)
    for builder, model in ((lamb, ours), (adamw, theirs)):
        optimizer = builder(model, lr=0.1, eps=1e-6, weight_decay=0.0)
        gradients(model)
        optimizer.step()
    close(ours.bias, theirs.bias)
    assert ours.weight.abs().min() > 0.05


@pytest.mark.parametrize("builder", WITH_CHOICE)
def test_decay_in_the_gradient_and_decay_beside_it_are_different_things(builder):
    pulled, shrunk = (stepped(builder, weight_decay=0.1, decay=decay)[1] for decay in ("l2", "decoupled"))
    assert not torch.allclose(pulled, shrunk, atol=1e-4)


@pytest.mark.parametrize("builder", WITH_CHOICE)
def test_a_decoupled_decay_of_nothing_is_refused(builder):
    with pytest.raises(ConfigError, match=r"optim\.decay: it cannot act with optim\.weight_decay=0"):
        builder(small_net(), weight_decay=0.0, decay="decoupled")


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize(("pattern", "moved"), [("5", "5.weight"), ("0*", "0.weight")])
def test_only_the_chosen_layers_decay(builder, pattern, moved):
    model = small_net()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    gradients(model, scale=0.0)
    builder(model, lr=0.1, weight_decay=0.5, decay_on=[pattern]).step()
    assert [name for name, each in model.named_parameters() if not torch.equal(each, before[name])] == [moved]


def test_a_layer_that_is_not_there_or_a_decay_of_nothing_cannot_be_chosen():
    model = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match=r"no weight of the model has a name like 'haed'. Did you mean 'head'\?"):
        param_groups(model, 0.1, 0.5, ["stem", "haed"])
    with pytest.raises(ConfigError, match=r"cannot act with optim\.weight_decay=0"):
        param_groups(model, 0.1, 0.0, ["head"])


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_earlier_stage_learns_at_a_share_of_the_rate_of_the_next(builder):
    model = Staged()
    optimizer = builder(model, lr=0.4, stage_decay=0.5, weight_decay=0.1)
    rates = {id(each): group["initial_lr"] for group in optimizer.param_groups for each in group["params"]}
    assert [rates[id(stage.weight)] for stage in model.stages] == [0.1, 0.2, 0.4]
    assert [rates[id(stage.bias)] for stage in model.stages] == [0.1, 0.2, 0.4]
    alike = builder(model, lr=0.4, weight_decay=0.1).param_groups
    assert {group["initial_lr"] for group in alike} == {0.4}  # the control: one rate for all


@pytest.mark.parametrize("builder", BUILDERS)
def test_layers_that_begin_to_learn_later_start_afresh_and_did_not_move_before(builder):
    model, other = Staged(), Staged()
    other.load_state_dict(model.state_dict())
    optimizer, of_alone = (builder(each, weight_decay=0.1) for each in (model, other))
    alone = other[0]
    model[0].requires_grad_(False)
    for step in range(4):
        if step == 2:
            assert torch.equal(model[0].weight, alone.weight)
            model[0].requires_grad_(True)
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        if step >= 2:
            alone.weight.grad, alone.bias.grad = model[0].weight.grad.clone(), model[0].bias.grad.clone()
            of_alone.step()
        optimizer.step()
    torch.testing.assert_close(model[0].weight, alone.weight)
    assert not torch.equal(model[0].weight, model[1].weight)


DECOUPLED = [(builder, {"decay": "decoupled", "weight_decay": 0.1}) for builder in WITH_CHOICE]
DEBIASED = (sgd, {"debias": True, "nesterov": False})


@pytest.mark.parametrize(("builder", "options"), [*((each, {}) for each in BUILDERS), *DECOUPLED, DEBIASED])
def test_a_scaled_step_with_clipping_equals_the_plain_one_and_an_overflow_is_skipped(builder, options):
    plain, scaled = small_net(), small_net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizers = builder(plain, **options), builder(scaled, **options)

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
        sgd(small_net(), momentum=0.0)


def test_an_overflow_in_the_very_first_step_leaves_the_momentum_at_zero():
    plain, scaled = small_net(), small_net()
    optimizers, scaler = (sgd(plain), sgd(scaled)), torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(torch.zeros(()))
    gradients(scaled, scale=float("inf"))
    scaler.step(optimizers[1])
    scaler.update()
    gradients(plain)
    gradients(scaled)
    for optimizer in optimizers:
        optimizer.step()
    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("builder", [sgd, adagrad, adam, adamw])
def test_the_optimizers_of_torch_step_in_one_kernel_where_it_has_one(builder):
    optimizer = builder(small_net())
    assert type(optimizer).__mro__[1].__module__.startswith("torch.optim")
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"nesterov": False, "momentum": 0.0, "debias": True}, r"debias needs momentum above 0"),
        ({"nesterov": False, "momentum": 0.0, "dampening": 0.5}, r"optim\.dampening=0 or"),
        ({"dampening": 0.5}, r"dampening excludes nesterov. Set optim\.nesterov=false"),
        ({"debias": True}, r"debias excludes nesterov"),
        ({"debias": True, "dampening": 0.5, "nesterov": False}, r"debias divides dampening out"),
    ],
)
def test_options_of_sgd_that_exclude_each_other_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        sgd(small_net(), **options)
