"""What an optimizer keeps goes to the parameter of its name, however the parameters are grouped."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer import registry
from trainer.engine.memories import by_name, memories_of, put_back, without_places

PARTS = sorted(registry.entries("optim"))
NAMES = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
PATTERNS = st.one_of(st.none(), st.lists(st.sampled_from(["0", "1", "2", "0.weight"]), min_size=1, max_size=3))


def net() -> nn.Sequential:
    """Three layers of one shape: so that a memory on the wrong one does not show in its shape."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model.stages = list(model)  # type: ignore[assignment]
    return model


def optimizer_of(part: str, model: nn.Module, **options: Any) -> Optimizer:
    made: Optimizer = registry.OPTIMS.builder(part)(model, lr=0.01, weight_decay=0.1, **options)
    return made


def step(model: nn.Module, optimizer: Optimizer, number: int, *, without: str = "none") -> None:
    """A step along gradients of that number's own; the parameters of this layer have none."""
    generator = torch.Generator().manual_seed(number)
    for name, parameter in model.named_parameters():
        grad = torch.randn(parameter.shape, generator=generator)
        parameter.grad = None if name.startswith(without) else grad
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def trained(part: str, steps: int = 3, **options: Any) -> tuple[nn.Module, Optimizer]:
    model = net()
    optimizer = optimizer_of(part, model, **options)
    for number in range(steps):
        step(model, optimizer, number)
    return model, optimizer


def same(one: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]]) -> bool:
    def equal(a: Any, b: Any) -> bool:
        return torch.equal(a, b) and a.stride() == b.stride() if isinstance(a, Tensor) else bool(a == b)

    return one.keys() == other.keys() and all(
        one[name].keys() == other[name].keys() and all(equal(one[name][key], other[name][key]) for key in one[name])
        for name in one
    )


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=15)
@given(before=PATTERNS, now=PATTERNS, stage_decays=st.tuples(*[st.sampled_from([1.0, 0.5])] * 2))
def test_memories_go_to_the_parameters_of_their_names_in_whatever_groups(
    part: str, before: list[str] | None, now: list[str] | None, stage_decays: tuple[float, float]
) -> None:
    model, optimizer = trained(part, decay_on=before, stage_decay=stage_decays[0])
    saved = deepcopy(memories_of(optimizer, model))
    other = net()
    regrouped = optimizer_of(part, other, decay_on=now, stage_decay=stage_decays[1])
    groups = [{**group, "params": len(group["params"])} for group in regrouped.param_groups]
    assert put_back(regrouped, other, saved) == []
    assert set(saved) == set(NAMES) and same(memories_of(regrouped, other), saved)
    assert [{**group, "params": len(group["params"])} for group in regrouped.param_groups] == groups, "as the config"


def test_counted_instead_of_named_they_land_on_others() -> None:
    model, optimizer = trained("adamw", decay_on=["1"])
    other = net()
    regrouped = optimizer_of("adamw", other, decay_on=["2"])
    regrouped.load_state_dict(optimizer.state_dict())
    ours, theirs = memories_of(optimizer, model), memories_of(regrouped, other)
    assert torch.equal(theirs["2.weight"]["exp_avg"], ours["1.weight"]["exp_avg"])


@pytest.mark.parametrize("part", PARTS)
def test_an_optimizer_that_was_put_back_steps_as_the_one_that_was_saved(part: str) -> None:
    model, optimizer = trained(part)
    copy = net()
    again = optimizer_of(part, copy)
    assert put_back(again, copy, deepcopy(memories_of(optimizer, model))) == []
    copy.load_state_dict(model.state_dict())
    for number in (3, 4):
        step(model, optimizer, number)
        step(copy, again, number)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), copy.parameters(), strict=True))
    assert same(memories_of(optimizer, model), memories_of(again, copy))


@pytest.mark.parametrize("part", PARTS)
def test_a_parameter_that_has_not_learnt_has_no_memories_after_either(part: str) -> None:
    model, copy = net(), net()
    optimizer, again = optimizer_of(part, model), optimizer_of(part, copy)
    step(model, optimizer, 0, without="1")
    assert put_back(again, copy, deepcopy(memories_of(optimizer, model))) == []
    assert same(memories_of(again, copy), memories_of(optimizer, model))


@pytest.mark.parametrize("part", PARTS)
def test_nothing_of_a_ruined_run_is_left_after_it_went_back(part: str) -> None:
    model, optimizer = trained(part)
    saved, weights = deepcopy(memories_of(optimizer, model)), deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.step()
    assert put_back(optimizer, model, saved) == []
    model.load_state_dict(weights)
    assert same(memories_of(optimizer, model), saved)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


CHANGES = [
    ("sgd", {"nesterov": False}, {"nesterov": False, "debias": True}, 6),
    ("sgd", {"nesterov": False, "debias": True}, {"nesterov": False}, 6),
    ("sgd", {"nesterov": False, "momentum": 0.0}, {"nesterov": False}, 0),
    ("sgd", {"nesterov": False}, {"nesterov": False, "momentum": 0.0}, 0),
    ("rmsprop", {}, {"momentum": 0.9}, 6),
    ("rmsprop", {"momentum": 0.9}, {}, 0),
    ("rmsprop", {}, {"centered": True}, 6),
    ("rmsprop", {"centered": True}, {}, 0),
]


@pytest.mark.parametrize(("part", "before", "now", "lost"), CHANGES)
def test_what_does_not_fit_begins_anew_and_is_named(
    part: str, before: dict[str, Any], now: dict[str, Any], lost: int
) -> None:
    model, optimizer = trained(part, **before)
    copy, fresh = net(), net()
    changed, new = optimizer_of(part, copy, **now), optimizer_of(part, fresh, **now)
    assert put_back(changed, copy, memories_of(optimizer, model)) == NAMES[:lost]
    copy.load_state_dict(fresh.state_dict())
    step(copy, changed, 3)
    step(fresh, new, 3)
    if lost:
        assert same(memories_of(changed, copy), memories_of(new, fresh)), "as a new run begins"
        assert all(torch.equal(*pair) for pair in zip(copy.parameters(), fresh.parameters(), strict=True))


def test_another_layout_changes_no_memory() -> None:
    model, copy = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    optimizer, again = (registry.OPTIMS.builder("adam")(each) for each in (model, copy))
    step(model, optimizer, 0)
    assert put_back(again, copy, memories_of(optimizer, model)) == []
    old, new = memories_of(optimizer, model)["weight"]["exp_avg"], memories_of(again, copy)["weight"]["exp_avg"]
    assert torch.equal(old, new) and new.stride() == copy.weight.stride() != old.stride()


@pytest.mark.parametrize("part", PARTS)
def test_memories_of_the_first_format_are_found_by_their_place_while_the_groups_are_as_long(part: str) -> None:
    model, optimizer = trained(part, decay_on=["1"])
    torchs, named = optimizer.state_dict(), memories_of(optimizer, model)
    copy = net()
    assert same(by_name(torchs, optimizer_of(part, copy, decay_on=["1"]), copy), named)
    regrouped = optimizer_of(part, copy)
    assert put_back(regrouped, copy, by_name(torchs, regrouped, copy)) == NAMES
    as_long = optimizer_of(part, copy, decay_on=["2"])
    assert put_back(as_long, copy, by_name(without_places(torchs), as_long, copy)) == NAMES
