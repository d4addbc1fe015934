"""The project's own networks start from files: what is loaded, new, left out and reshaped is named."""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from shared import Ended
from torch import Tensor, nn

from trainer.errors import CheckpointError, ConfigError
from trainer.model.files import read
from trainer.model.small_cnn import small_cnn
from trainer.model.timm import timm
from trainer.registry import MODELS, entries

Train = Callable[..., Ended]
OWN = [name for name, part in entries("model").items() if "weights" in part.options and "arch" not in part.options]


def saved(path: Path, content: object) -> str:
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("name", OWN)
def test_every_network_of_ours_loads_its_own_weights_and_gets_a_new_head_for_other_classes(
    name: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"zfnet": {"hidden": 8}, "waste_sorter": {"image_size": 48}}.get(name, {})
    if name.startswith("xresnet") and name != "xresnet18":
        pytest.skip("the same builder as xresnet18, and large")
    build = MODELS.builder(name)
    torch.manual_seed(1)
    path = saved(tmp_path / "w.pt", build(4, 3, **options).state_dict())
    source = torch.load(path, weights_only=True)
    torch.manual_seed(2)
    same, other = build(4, 3, weights=path, **options), build(7, 3, weights=path, **options)
    assert all(torch.equal(value, source[key]) for key, value in same.state_dict().items())
    head = {key for key, value in other.state_dict().items() if value.shape != source[key].shape}
    assert len(head) == 2 and all(key.startswith("head") for key in head)
    assert all(torch.equal(value, source[key]) for key, value in other.state_dict().items() if key not in head)
    assert "-> 7" in other.notes[1]


def test_colour_weights_are_summed_for_grey_images(tmp_path: Path) -> None:
    colour = small_cnn(3, 3, widths=[4, 8]).eval()
    grey = small_cnn(3, 1, widths=[4, 8], weights=saved(tmp_path / "w.pt", colour.state_dict())).eval()
    images = torch.randn(2, 1, 16, 16)
    assert torch.allclose(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-5)
    assert grey.notes[0] == "grey images: the weights of stem.0 summed over red, green and blue"


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    saved(tmp_path / "birds.pt", {})
    with pytest.raises(CheckpointError, match=r"there is no file '.*brids\.pt'\. Did you mean '.*birds\.pt'\?"):
        small_cnn(3, 3, weights=str(tmp_path / "brids.pt"))


def write_safetensors(path: Path, tensors: dict[str, Tensor], **changes: object) -> str:
    """A file as the format's description says, written without the package."""
    kinds = {torch.float32: ("F32", "f"), torch.int64: ("I64", "q"), torch.float64: ("F64", "d")}
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in tensors.items():
        kind, code = kinds[tensor.dtype]
        data = struct.pack(f"<{tensor.numel()}{code}", *tensor.flatten().tolist())
        table[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    header = json.dumps({**table, **changes}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + body)
    return str(path)


def test_a_safetensors_file_gives_the_same_weights_as_a_state_dict(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = small_cnn(3, 3, widths=[4, 8]).state_dict()
    model = small_cnn(3, 3, widths=[4, 8], weights=write_safetensors(tmp_path / "w.safetensors", source))
    assert all(torch.equal(value, source[key]) for key, value in model.state_dict().items())
    assert model.notes == (f"weights: {len(source)} of {len(source)} tensors loaded from w.safetensors",)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_weights_of_another_precision_become_those_of_the_network(
    tmp_path: Path, dtype: torch.dtype, ending: str
) -> None:
    torch.manual_seed(1)
    source = small_cnn(3, 3, widths=[4, 8]).to(dtype).state_dict()
    path = tmp_path / f"w{ending}"
    save_file(source, path) if ending == ".safetensors" else torch.save(source, path)
    state = small_cnn(3, 3, widths=[4, 8], weights=str(path)).state_dict()
    assert all(torch.equal(tensor, source[name].to(tensor.dtype)) for name, tensor in state.items())
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F4", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2]},
        7,
    ],
)
def test_a_safetensors_file_with_a_wrong_table_is_refused_in_one_line(tmp_path: Path, entry: object) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", {"x": torch.zeros(2)}, x=entry)
    with pytest.raises(
        CheckpointError, match=r"state dict: it is cut short or damaged, or is no safetensors file \(\w"
    ) as caught:
        small_cnn(3, 3, weights=path)
    assert "\n" not in str(caught.value)


def test_a_safetensors_file_that_is_cut_short_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(small_cnn(3, 3, widths=[4, 8]).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="it is cut short or damaged") as caught:
        small_cnn(3, 3, widths=[4, 8], weights=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_with_values_that_are_no_numbers_are_refused_and_the_tensor_is_named(
    train: Train, tmp_path: Path, value: float
) -> None:
    state = small_cnn(3, 3, widths=[4, 8]).state_dict()
    state["stage1.1.0.weight"][0, 0, 0, 0] = value
    ended = train("name=x", f"model.weights={saved(tmp_path / 'w.pt', state)}")
    assert ended.code == 4 and len(ended.err.splitlines()) == 1
    assert "'stage1.1.0.weight' in w.pt holds values that are infinite or no number" in ended.err


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, struct.pack("<Q", 2) + b"[]", b"no table at all"])
def test_something_else_by_the_name_of_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        small_cnn(3, 3, weights=str(tmp_path / "w.safetensors"))


def test_a_run_starts_from_the_best_checkpoint_of_another_and_says_so(train: Train, tmp_path: Path) -> None:
    assert train("name=first", "epochs=1").code == 0
    best = tmp_path / "outputs" / "first" / "checkpoints" / "best.pt"
    ended = train("name=second", "epochs=1", f"model.weights={best}", "data.classes=4")
    assert ended.code == 0, ended.err
    assert "tensors loaded from best.pt" in ended.out and "head.3.weight 3x8 -> 4x8" in ended.out


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [({"other.weight": torch.zeros(3)}, 4, "nothing in w.pt fits the model"), ([1, 2], 4, "no tensors by name")],
)
def test_weights_that_cannot_be_used_end_the_command_before_anything_is_written(
    train: Train, tmp_path: Path, content: object, code: int, message: str
) -> None:
    ended = train("name=x", f"model.weights={saved(tmp_path / 'w.pt', content)}")
    assert ended.code == code and message in ended.err and len(ended.err.splitlines()) == 1
    assert not (tmp_path / "outputs" / "x").exists()


def test_an_init_that_would_overwrite_the_weights_is_refused(train: Train, tmp_path: Path) -> None:
    ended = train("name=x", "init=he_normal", "model.weights=w.pt")
    assert ended.code == 2 and "'he_normal' would overwrite what model.weights loads. Use init=keep." in ended.err


def fake_timm(calls: list[dict[str, Any]]) -> ModuleType:
    """Stands in for the package: two networks, one of which lacks an option."""

    def create_model(arch: str, pretrained: bool, num_classes: int, in_chans: int, **options: Any) -> nn.Module:
        if pretrained and arch == "tiny_plain":
            raise RuntimeError("No pretrained weights exist for tiny_plain.")
        if arch == "tiny_plain" and "drop_path_rate" in options:
            raise TypeError("TinyPlain.__init__() got an unexpected keyword argument 'drop_path_rate'")
        calls.append({"arch": arch, "pretrained": pretrained, **options})
        body = nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(body, nn.Linear(4, num_classes))

    module = ModuleType("timm")
    names = ["tiny_deep", "tiny_plain"]
    vars(module).update(create_model=create_model, is_model=names.__contains__, list_models=lambda: names)
    return module


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "timm", fake_timm(made))
    return made


def test_timm_is_told_what_was_said_and_nothing_else(calls: list[dict[str, Any]]) -> None:
    model = timm(5, 1, arch="tiny_deep", dropout=0.2, stochastic_depth=0.1, image_size=64, weights="DEFAULT")
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 5) and len(model.stages) == 2
    assert "timm's own" in model.notes[0]
    timm(5, 3, arch="tiny_deep")
    assert calls == [
        {"arch": "tiny_deep", "pretrained": True, "drop_rate": 0.2, "drop_path_rate": 0.1, "img_size": 64},
        {"arch": "tiny_deep", "pretrained": False},
    ]


def test_timm_takes_weights_from_a_file(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    source = timm(5, 3, arch="tiny_deep").state_dict()
    model = timm(5, 3, arch="tiny_deep", weights=saved(tmp_path / "w.pt", source))
    assert all(torch.equal(value, source[key]) for key, value in model.state_dict().items())
    assert model.notes == ("weights: 4 of 4 tensors loaded from w.pt",)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"arch": "tiny_dep"}, ConfigError, r"no network 'tiny_dep'\. Did you mean 'tiny_deep'\?"),
        ({"arch": "tiny_plain", "stochastic_depth": 0.1}, ConfigError, "tiny_plain has no stochastic_depth"),
        ({"arch": "tiny_plain", "weights": "DEFAULT"}, CheckpointError, "did not arrive .No pretrained weights exist"),
    ],
)
def test_what_timm_lacks_is_said(
    calls: list[dict[str, Any]], options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        timm(5, 3, **options)


def test_without_timm_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"not installed\. Install it: pip install 'trainer\[timm\]'"):
        timm(5, 3, arch="resnet18")


def test_a_network_of_the_real_timm_lists_its_stages_and_gives_logits() -> None:
    pytest.importorskip("timm")
    model = timm(1000, 3, arch="inception_resnet_v2").eval()
    held = [id(parameter) for stage in model.stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    assert len(model.stages) >= 4 and model(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)


@pytest.mark.parametrize(
    "content", [b"a hello world", b"\x80\x02.", b".", b"<html>", b"PK\x03\x04", b"\xff\xd8\xff\xe0"]
)
def test_a_file_that_holds_no_weights_is_told_in_one_sentence_of_our_own(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="it is cut short or damaged, or is no file of weights"):
        read(path)


def test_a_fine_tuned_run_goes_on_although_the_weights_it_began_from_are_gone(train: Train, tmp_path: Path) -> None:
    assert train("name=first", "epochs=1").code == 0
    weights = tmp_path / "weights.pt"
    (tmp_path / "outputs" / "first" / "checkpoints" / "best.pt").rename(weights)
    assert train("name=x", f"model.weights={weights}", "sched=constant", "epochs=1").code == 0
    weights.unlink()
    ended = train(f"resume={tmp_path / 'outputs' / 'x'}", "epochs=2", tiny=False)
    assert ended.code == 0, ended.err
    assert "Goes on after step 6" in ended.out
