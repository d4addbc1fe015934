"""State dicts with other names for the same tensors: matched in order when it is said and every shape agrees."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from shared import Ended
from torch import Tensor

from trainer.errors import CheckpointError
from trainer.model.small_cnn import SmallCNN, small_cnn
from trainer.model.timm import timm
from trainer.schema import Match

Train = Callable[..., Ended]
ROLE = re.compile(r".*\.")


def network(num_classes: int = 3, channels: int = 3, **said: Any) -> SmallCNN:
    torch.manual_seed(2)
    return small_cnn(num_classes, channels, widths=[4, 8], **said)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As a program might have it that knows the same layers by other names."""
    return {f"_part{place}.{ROLE.sub('', name)}": tensor for place, (name, tensor) in enumerate(state.items())}


def taken(content: object, folder: Path, match: Match = "order", **said: Any) -> SmallCNN:
    torch.save(content, folder / "w.pt")
    return network(weights=str(folder / "w.pt"), match=match, **said)


torch.manual_seed(1)
OTHER = {
    name: (tensor + 9 * torch.rand(tensor.shape)).to(tensor.dtype) for name, tensor in network().state_dict().items()
}


def test_a_network_of_timm_under_other_names_gives_the_same_answers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = timm(5, 3, arch="test_efficientnet").eval()
    torch.save(renamed(source.net.state_dict()), tmp_path / "w.pt")
    model = timm(5, 3, arch="test_efficientnet", weights=str(tmp_path / "w.pt"), match="order").eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(model(images), source(images))
    assert "matched in order, not by name: '_part0.weight' is 'conv_stem.weight', and so on to" in model.notes[0]


@pytest.mark.parametrize("prefix", ["", "backbone.", "state_dict.model."])
def test_the_tensors_are_found_under_any_prefix_beside_other_things(tmp_path: Path, prefix: str) -> None:
    content: dict[str, object] = {f"{prefix}{name}": tensor for name, tensor in renamed(OTHER).items()}
    state = taken({**content, **({"queue": torch.ones(2)} if prefix else {}), "epoch": 3}, tmp_path).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in OTHER.items())


def test_the_averaged_of_two_copies_is_taken_and_it_is_said(tmp_path: Path) -> None:
    model = taken({"model": renamed(network().state_dict()), "model_ema": renamed(OTHER)}, tmp_path)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in OTHER.items())
    assert model.notes[0].endswith("those under 'model_ema' are taken, not those under 'model'")


def test_of_two_copies_with_equal_claims_none_is_taken(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds this network 2 times, under 'a' and under 'b', and nothing tells"):
        taken({"a": renamed(OTHER), "b": renamed(OTHER)}, tmp_path)


def test_a_head_for_other_classes_is_new(tmp_path: Path) -> None:
    model = taken(renamed(OTHER), tmp_path, num_classes=7)
    head = {"head.3.weight", "head.3.bias"}
    assert all(torch.equal(tensor, OTHER[name]) for name, tensor in model.state_dict().items() if name not in head)
    assert not any(model.state_dict()[name].any() for name in head)


def test_a_first_convolution_of_colours_serves_grey_images(tmp_path: Path) -> None:
    stem = taken(renamed(OTHER), tmp_path, channels=1).state_dict()["stem.0.weight"]
    assert torch.equal(stem, OTHER["stem.0.weight"].sum(1, keepdim=True))


def swapped(state: dict[str, Tensor], first: str, second: str) -> dict[str, Tensor]:
    places = {first: second, second: first}
    return {places.get(name, name): state[places.get(name, name)] for name in state}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {name: OTHER[name] for name in list(OTHER)[:-1]},
            "wants as many tensors as the model has, 20, and w.pt holds",
        ),
        ({**OTHER, "stage1.1.0.weight": torch.ones(8, 4, 5, 5)}, "number 7 is '_part6.weight' 8x4x5x5 there and"),
        (swapped(OTHER, "stem.1.weight", "stem.1.bias"), "number 2 is '_part1.bias' 4 there and 'stem.1.weight' 4 in"),
    ],
)
def test_one_tensor_that_does_not_match_refuses_them_all(tmp_path: Path, state: dict[str, Tensor], words: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(words)) as caught:
        taken(renamed(state), tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_that_only_match_in_order_are_refused_with_that_way_out(train: Train, tmp_path: Path) -> None:
    torch.save(renamed(OTHER), tmp_path / "w.pt")
    ended = train("name=x", f"model.weights={tmp_path / 'w.pt'}", "epochs=1")
    assert ended.code == 4 and len(ended.err.splitlines()) == 1
    assert "By their shapes all of them match in order, though: model.match=order takes them so." in ended.err
    ended = train("name=x", f"model.weights={tmp_path / 'w.pt'}", "epochs=1", "model.match=order")
    assert ended.code == 0, ended.err


def test_safetensors_know_no_order_and_are_refused(tmp_path: Path) -> None:
    save_file(renamed(OTHER), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"match=order cannot act on w\.safetensors.*order of their names"):
        network(weights=str(tmp_path / "w.safetensors"), match="order")
    with pytest.raises(CheckpointError, match=r"Are they of another network\?"):
        network(weights=str(tmp_path / "w.safetensors"))
