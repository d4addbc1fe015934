"""The head on a body that was trained elsewhere: how it starts for other classes, and a head of two layers."""

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm as real_timm
import torch
import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]
from safetensors.torch import save_file
from shared import Ended
from torch import Tensor, nn

from trainer.data.glyphs import CHARACTERS
from trainer.errors import ConfigError
from trainer.model.backbone import backbone
from trainer.model.head import heads
from trainer.model.timm import timm
from trainer.registry import MODELS

Train = Callable[..., Ended]
TRAINED: dict[str, tuple[str, Mapping[str, Any]]] = {
    "ours": ("small_cnn", {"widths": [4, 8]}),
    "a perceptron of ours": ("mlp", {"depth": 1, "width": 8, "image_size": 8}),
    "torchvision": ("backbone", {"arch": "resnet18"}),
    "torchvision, deeper": ("backbone", {"arch": "resnet18", "hidden": 8}),
    "timm": ("timm", {"arch": "test_resnet"}),
    "timm, distilled": ("timm", {"arch": "deit_tiny_distilled_patch16_224", "image_size": 32}),
}


def trained(kind: str, folder: Path, num_classes: int) -> str:
    """A file of weights that another training has left for as many classes."""
    name, options = TRAINED[kind]
    torch.manual_seed(1)
    model = MODELS.builder(name)(num_classes, 3, **{key: each for key, each in options.items() if key != "hidden"})
    torch.save(getattr(model, "net", model).state_dict(), folder / "w.pt")
    return str(folder / "w.pt")


def begun(kind: str, num_classes: int, **said: Any) -> Any:
    name, options = TRAINED[kind]
    torch.manual_seed(2)
    return MODELS.builder(name)(num_classes, 3, **options, **said)


def first_loss(model: nn.Module, num_classes: int) -> float:
    torch.manual_seed(3)
    images, labels = torch.randn(6, 3, 32, 32), torch.arange(6) % num_classes
    with torch.no_grad():
        return float(F.cross_entropy(model(images).double(), labels))


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("kind", TRAINED)
def test_a_head_for_other_classes_starts_where_every_class_is_equally_likely(
    tmp_path: Path, kind: str, num_classes: int
) -> None:
    model = begun(kind, num_classes, weights=trained(kind, tmp_path, 5)).train()
    assert first_loss(model, num_classes) == pytest.approx(math.log(num_classes), abs=1e-6)
    assert model.notes[-1] == "weights: the head is new: it starts at zero" and not model.keeps_head


@pytest.mark.parametrize("kind", TRAINED)
def test_without_weights_and_as_the_network_draws_it_a_head_starts_as_ever(tmp_path: Path, kind: str) -> None:
    scratch, drawn = begun(kind, 3), begun(kind, 3, weights=trained(kind, tmp_path, 5), head_init="default")
    for name, head in heads(getattr(scratch, "net", scratch)).items():
        assert bool(head.weight.detach().any()), name
        assert torch.equal(head.weight, heads(getattr(drawn, "net", drawn))[name].weight)


def test_a_hidden_layer_before_a_head_of_zeros_is_drawn(tmp_path: Path) -> None:
    *_, dense, _, out = begun("torchvision, deeper", 3, weights=trained("torchvision", tmp_path, 3)).modules()
    assert bool(dense.weight.detach().any()) and not out.weight.any() and not out.bias.any()


@pytest.mark.parametrize("kind", ["ours", "torchvision", "timm"])
def test_a_head_that_fits_is_kept_unless_a_new_one_is_asked_for(tmp_path: Path, kind: str) -> None:
    weights = trained(kind, tmp_path, 3)
    kept, new = begun(kind, 3, weights=weights), begun(kind, 3, weights=weights, head_init="new")
    (head,), (zeros,) = (heads(getattr(model, "net", model)).values() for model in (kept, new))
    assert kept.keeps_head and bool(head.weight.detach().any())
    assert not new.keeps_head and not zeros.weight.any() and not zeros.bias.any()  # type: ignore[union-attr]
    assert new.notes[-1] == "weights: the head is new, as model.head_init says: it starts at zero"


def test_a_head_behind_a_relu_is_drawn_since_it_would_never_learn_from_zero(tmp_path: Path) -> None:
    source = torchvision.models.squeezenet1_1(num_classes=5)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    model = backbone(3, 3, arch="squeezenet1_1", weights=str(tmp_path / "w.pt"))
    (head,) = heads(model.net).values()
    assert bool(head.weight.detach().any())
    assert model.notes[-1].endswith("the head is new: it starts at random: behind a ReLU zeros would never learn")


def fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's own weights arrive without a download: they are drawn, with a head of as many classes as are asked for."""

    def create_model(arch: str, pretrained: bool, **options: Any) -> nn.Module:
        net: nn.Module = real_timm.create_model(arch, pretrained=False, **options)
        return net

    module = ModuleType("timm")
    vars(module).update(vars(real_timm) | {"create_model": create_model})
    monkeypatch.setitem(sys.modules, "timm", module)


def test_the_head_of_timms_own_weights_starts_at_zero_unless_they_know_as_many_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted(monkeypatch)
    new, kept = (timm(count, 3, arch="test_resnet", weights="DEFAULT") for count in (3, 1000))
    assert first_loss(new, 3) == pytest.approx(math.log(3), abs=1e-6)
    assert new.notes == ("weights: timm's own for test_resnet; the head is new: it starts at zero",)
    assert kept.keeps_head and kept.notes == ("weights: timm's own for test_resnet",)
    assert bool(next(iter(heads(kept.net).values())).weight.detach().any())


def test_the_head_of_timms_own_weights_is_left_as_timm_draws_it_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted(monkeypatch)
    torch.manual_seed(5)
    model = timm(3, 3, arch="test_resnet", weights="DEFAULT", head_init="default")
    torch.manual_seed(5)
    drawn = real_timm.create_model("test_resnet", pretrained=False, num_classes=3)
    assert torch.equal(model.net.get_classifier().weight, drawn.get_classifier().weight)
    assert model.notes == ("weights: timm's own for test_resnet; the head is new",)


def test_a_run_on_other_classes_says_that_its_head_is_new_and_begins_at_the_loss_of_chance(
    train: Train, tmp_path: Path
) -> None:
    weights = trained("ours", tmp_path, 5)
    ended = train("name=x", f"model.weights={weights}", "optim.lr=1e-30", "epochs=1", "sched=constant")
    assert ended.code == 0, ended.err
    assert "weights: the head is new: it starts at zero" in ended.out
    steps = [json.loads(line) for line in (tmp_path / "outputs" / "x" / "metrics.jsonl").read_text().splitlines()]
    assert next(line["loss"] for line in steps if line["kind"] == "step") == pytest.approx(math.log(3), abs=1e-6)


def published(folder: Path, state: Mapping[str, Tensor], config: object) -> Path:
    """A folder as the Hugging Face hub has them."""
    folder.mkdir()
    save_file(dict(state), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


AT_HAND = list(CHARACTERS[:3])
LABELS = {str(place): name for place, name in enumerate(AT_HAND)}


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": LABELS},
        {"id2label": dict(reversed(LABELS.items()))},
        {"pretrained_cfg": {"label_names": AT_HAND}},
        {"label_names": AT_HAND},
        {"trainer": {"classes": AT_HAND}},
    ],
)
def test_a_head_whose_folder_tells_the_classes_at_hand_is_kept_without_a_word(
    train: Train, tmp_path: Path, config: object
) -> None:
    folder = published(tmp_path / "hub", begun("ours", 3).state_dict(), config)
    ended = train("name=x", f"model.weights={folder}", "optim.lr=1e-30", "epochs=1")
    assert ended.code == 0, ended.err
    assert "tensors loaded from hub/model.safetensors" in ended.out and "the head" not in ended.out


@pytest.mark.parametrize(
    "config", [{"id2label": {"0": "cat", "1": "dog", "2": "owl"}}, {"label_names": ["cat", "dog", "owl"]}]
)
def test_a_head_whose_folder_tells_other_classes_starts_anew_and_both_are_named(
    train: Train, tmp_path: Path, config: object
) -> None:
    folder = published(tmp_path / "hub", begun("ours", 3).state_dict(), config)
    ended = train("name=x", f"model.weights={folder}", "optim.lr=1e-30", "epochs=1")
    assert ended.code == 0, ended.err
    words = " ".join(ended.out.split())
    assert "the head is new, because hub/model.safetensors knows other classes: cat, dog, owl before" in words
    assert f"{', '.join(AT_HAND)} now; it starts at zero" in words


@pytest.mark.parametrize("config", [{}, {"id2label": {str(place): f"LABEL_{place}" for place in range(3)}}])
def test_a_head_whose_file_does_not_tell_its_classes_is_kept_and_the_way_out_is_named(
    train: Train, tmp_path: Path, config: object
) -> None:
    folder = published(tmp_path / "hub", begun("ours", 3).state_dict(), config)
    ended = train("name=x", f"model.weights={folder}", "epochs=1")
    assert ended.code == 0, ended.err
    words = " ".join(ended.out.split())
    assert "the head of 3 classes is kept, for it fits, and hub/model.safetensors does not say which" in words
    assert "If they are others: model.head_init=new" in words


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_small"])
def test_a_hidden_layer_stands_before_the_last_and_the_rest_stays(arch: str) -> None:
    plain, deep = (backbone(4, 3, arch=arch, **options) for options in ({}, {"hidden": 128, "dropout": 0.5}))
    last = [layer for layer in plain.modules() if isinstance(layer, nn.Linear)][-1]
    *_, dense, relu, drop, out = deep.modules()
    assert isinstance(dense, nn.Linear) and (dense.in_features, dense.out_features) == (last.in_features, 128)
    assert isinstance(relu, nn.ReLU) and isinstance(drop, nn.Dropout) and drop.p == 0.5
    assert isinstance(out, nn.Linear) and (out.in_features, out.out_features) == (128, 4)
    assert len(deep.stages) == len(plain.stages)
    assert {id(each) for each in dense.parameters()} <= {id(each) for each in deep.stages[-1].parameters()}
    assert deep(torch.zeros(2, 3, 64, 64)).shape == (2, 4)


def test_the_hidden_layer_starts_with_the_distribution_of_he() -> None:
    *_, dense, _, _ = backbone(4, 3, arch="resnet18", hidden=512).modules()
    assert isinstance(dense, nn.Linear)
    assert float(dense.weight.detach().std()) == pytest.approx((2 / 512) ** 0.5, rel=0.02) and not dense.bias.any()


def test_dropout_alone_may_stand_before_the_last_layer() -> None:
    *_, drop, out = backbone(4, 3, arch="resnet18", dropout=0.3).modules()
    assert isinstance(drop, nn.Dropout) and isinstance(out, nn.Linear) and out.in_features == 512


def test_a_net_that_ends_in_a_convolution_takes_no_hidden_layer() -> None:
    with pytest.raises(ConfigError, match="ends in no linear layer, so hidden cannot act"):
        backbone(4, 3, arch="squeezenet1_1", hidden=16)


@pytest.mark.slow
def test_a_deep_head_learns_alone_on_a_frozen_body(train: Train, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(backbone(9, 3, arch="mobilenet_v3_small").net.state_dict(), tmp_path / "body.pt")
    words = ["model=backbone", "model.arch=mobilenet_v3_small", f"model.weights={tmp_path / 'body.pt'}", "data.size=32"]
    words += ["model.hidden=16", "model.dropout=0.5", "finetune=head_first", "finetune.frozen_epochs=all", "epochs=1"]
    ended = train(*words, "data.images=64", "batch_size=16", "device=cpu", "name=x", tiny=False)
    assert ended.code == 0, ended.err
    before = torch.load(tmp_path / "body.pt", weights_only=True)
    after = torch.load(tmp_path / "outputs" / "x" / "checkpoints" / "best.pt", weights_only=True)["model"]
    body = [name for name in before if name.startswith("features")]
    assert body and all(torch.equal(before[name], after[f"net.{name}"]) for name in body)
