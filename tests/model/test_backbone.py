"""The torchvision backbones: every network builds, weights load where they agree, grey images, and the errors."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import Tensor, nn

from trainer.errors import CheckpointError, ConfigError
from trainer.model.backbone import backbone

ALL = torchvision.models.list_models(module=torchvision.models)
# The large ones differ from the small of their family in numbers only. A RegNet reckons its widths with real tensors.
SMALL_OF_EACH_FAMILY = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vit_b_16",
    "wide_resnet50_2",
]


def saved(tmp_path: Path, content: Any, name: str = "weights.pt") -> str:
    torch.save(content, tmp_path / name)
    return str(tmp_path / name)


def mobilenet(num_classes: int = 7) -> nn.Module:
    torch.manual_seed(1)
    net: nn.Module = torchvision.models.mobilenet_v3_small(num_classes=num_classes)
    return net


def families(names: list[str]) -> set[str]:
    return {word[0] for name in names if (word := re.match("[a-z]+", name))}


def test_the_families_above_are_all_there_are() -> None:
    assert families(SMALL_OF_EACH_FAMILY) == families(ALL)


@pytest.mark.parametrize("arch", SMALL_OF_EACH_FAMILY)
def test_stages_of_every_family_run_from_stem_to_head_and_hold_every_parameter_once(arch: str) -> None:
    with torch.device("cpu" if arch.startswith("regnet") else "meta"):
        model = backbone(7, 3, arch=arch)
    held = [id(parameter) for stage in model.stages for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    assert first in set(model.stages[0].modules())
    assert list(model.stages[-1].parameters())[-1].shape[0] == 7
    assert len(model.stages) >= 4


@pytest.mark.parametrize(
    ("arch", "pixels"),
    [("squeezenet1_1", 32), ("mobilenet_v3_small", 32), ("shufflenet_v2_x0_5", 32), ("googlenet", 32)],
)
def test_grey_images_give_logits_and_gradients(arch: str, pixels: int) -> None:
    torch.manual_seed(0)
    model = backbone(4, 1, arch=arch).train()
    logits = model(torch.randn(2, 1, pixels, pixels))
    assert logits.shape == (2, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_transformer_is_built_for_the_image_size_given() -> None:
    with torch.device("meta"):
        assert backbone(4, 3, arch="vit_b_16", image_size=32)(torch.zeros(1, 3, 32, 32)).shape == (1, 4)


def test_auxiliary_heads_are_left_out_and_said() -> None:
    with torch.device("meta"):
        model = backbone(4, 3, arch="inception_v3")
        assert model.train()(torch.zeros(2, 3, 75, 75)).shape == (2, 4)
    assert "auxiliary" in model.notes[0]


def test_the_first_layer_of_a_grey_net_gives_what_three_equal_channels_gave(tmp_path: Path) -> None:
    source, grey = mobilenet(), torch.randn(2, 1, 32, 32, dtype=torch.float64)
    model = backbone(7, 1, arch="mobilenet_v3_small", weights=saved(tmp_path, source.state_dict())).double().eval()
    expected = source.double().eval()(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(model(grey), expected, atol=1e-10)
    assert any("summed" in note for note in model.notes)


def test_every_tensor_that_agrees_is_loaded_and_the_rest_is_named(tmp_path: Path) -> None:
    state = mobilenet(num_classes=3).state_dict()
    del state["features.0.1.weight"]
    state["extra"] = torch.zeros(2)
    model = backbone(7, 3, arch="mobilenet_v3_small", weights=saved(tmp_path, state))
    own = model.net.state_dict()
    agreeing = [name for name in state if name in own and not name.startswith("classifier.3")]
    assert all(torch.equal(own[name], state[name]) for name in agreeing)
    assert len(agreeing) == len(own) - 3
    assert model.notes == (
        f"weights: {len(agreeing)} of {len(own)} tensors loaded from weights.pt",
        "weights: new, because the shape differs: classifier.3.weight 3x1024 -> 7x1024, classifier.3.bias 3 -> 7",
        "weights: new, because weights.pt has none: features.0.1.weight",
        "weights: left out, because the model has none: extra",
        "weights: the head is new: it starts at zero",
    )


def test_the_head_is_loaded_too_where_the_classes_agree(tmp_path: Path) -> None:
    source = mobilenet(num_classes=7)
    model = backbone(7, 3, arch="mobilenet_v3_small", weights=saved(tmp_path, source.state_dict()))
    assert all(torch.equal(value, model.net.state_dict()[name]) for name, value in source.state_dict().items())


def test_weights_of_one_of_our_own_backbones_load_again(tmp_path: Path) -> None:
    first = backbone(7, 1, arch="mobilenet_v3_small")
    second = backbone(7, 1, arch="mobilenet_v3_small", weights=saved(tmp_path, first.state_dict()))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_weights_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"other.weight": torch.zeros(3)})
    with pytest.raises(
        CheckpointError, match=r"nothing in weights.pt fits the model: it holds 'other.weight' 3, the model 'features"
    ):
        backbone(7, 3, arch="mobilenet_v3_small", weights=path)


class Evil:
    """A pickle that would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.marker}",)


def test_a_file_that_asks_for_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": Evil(tmp_path / "marker")})
    with pytest.raises(CheckpointError, match=r"asks for '\w+\.system'.*never code"):
        backbone(7, 3, arch="mobilenet_v3_small", weights=path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is text", b"PK\x03\x04 cut short"], ids=["empty", "text", "cut"]
)
def test_a_file_that_is_no_state_dict_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"broken\.pt' cannot be read") as caught:
        backbone(7, 3, arch="mobilenet_v3_small", weights=str(tmp_path / "broken.pt"))
    assert "\n" not in str(caught.value)


def test_a_list_of_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no tensors by name"):
        backbone(7, 3, arch="mobilenet_v3_small", weights=saved(tmp_path, [torch.zeros(1)]))


def test_a_missing_file_names_the_nearest_and_torchvisions_own(tmp_path: Path) -> None:
    path = saved(tmp_path, {}, "birds.pt")
    with pytest.raises(CheckpointError, match=r"DEFAULT, IMAGENET1K_V1|IMAGENET1K_V1, DEFAULT") as caught:
        backbone(7, 3, arch="mobilenet_v3_small", weights=path.replace("birds", "brids"))
    assert f"Did you mean '{path}'?" in str(caught.value)


def test_a_download_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> dict[str, Tensor]:
        raise OSError("network is unreachable")

    monkeypatch.setattr(torchvision.models.MobileNet_V3_Small_Weights, "get_state_dict", unreachable)
    with pytest.raises(
        CheckpointError, match=r"unreachable\)\. Download https://\S+\.pth by hand and set model\.weights"
    ):
        backbone(7, 3, arch="mobilenet_v3_small", weights="DEFAULT")


def test_torchvisions_weights_are_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    state = mobilenet(num_classes=1000).state_dict()
    monkeypatch.setattr(torchvision.models.MobileNet_V3_Small_Weights, "get_state_dict", lambda *_, **__: dict(state))
    model = backbone(7, 3, arch="mobilenet_v3_small", weights="IMAGENET1K_V1")
    assert torch.equal(model.net.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
    assert model.notes[0].endswith("tensors loaded from torchvision's IMAGENET1K_V1")


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no classification network 'resnt18'. Did you mean 'resnet18'\?"):
        backbone(7, 3, arch="resnt18")


def test_a_detector_is_no_backbone() -> None:
    with pytest.raises(ConfigError, match="no classification network 'fasterrcnn_resnet50_fpn'"):
        backbone(7, 3, arch="fasterrcnn_resnet50_fpn")


def test_an_image_size_that_cannot_act_is_refused() -> None:
    with pytest.raises(ConfigError, match="resnet18 takes images of any size"):
        backbone(7, 3, arch="resnet18", image_size=64)


def test_an_image_size_that_the_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="vit_b_16 cannot be built for 33 pixels"):
        backbone(7, 3, arch="vit_b_16", image_size=33)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"grey \(1\) or colour \(3\) images, not 2"):
        backbone(7, 2, arch="mobilenet_v3_small")
