"""What weights were trained to see, from their file or their publisher, without a download."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision  # type: ignore[import-untyped]
from PIL import Image
from safetensors.torch import save_file
from shared import Ended
from timm.data import create_transform, resolve_data_config
from torch import Tensor

from trainer.model.expects import Expects, expected

Train = Callable[..., Ended]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.pt")
    return str(tmp_path / "w.pt")


def seen(picture: Image.Image, expects: Expects) -> Tensor:
    """A square picture as the expectations say, by Pillow and numpy."""
    assert expects.size and expects.crop_share and expects.resize and expects.fit == "crop"
    side = int(expects.size / expects.crop_share)
    edge = round((side - expects.size) / 2)
    resized = picture.resize((side, side), FILTERS[expects.resize])
    values = np.asarray(resized.crop((edge, edge, edge + expects.size, edge + expects.size)), dtype=np.float64) / 255
    return torch.from_numpy(((values - expects.mean) / expects.std).transpose(2, 0, 1))


@pytest.mark.parametrize("arch", ["tf_efficientnet_lite0", "resnet18.a1_in1k", "test_resnet", "vit_tiny_patch16_224"])
def test_timms_figures_prepare_a_picture_as_timm_does(picture: Image.Image, weights: str, arch: str) -> None:
    for said in (weights, "DEFAULT"):
        expects = expected("timm", {"arch": arch, "weights": said})
        assert expects is not None and expects.origin == f"timm's figures for {arch}"
        theirs = create_transform(**resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(arch).to_dict()))
        assert torch.allclose(seen(picture, expects), theirs(picture).double(), atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "name", "origin"),
    [
        ("resnet18", "IMAGENET1K_V1", "resnet18 IMAGENET1K_V1"),
        ("resnet50", "DEFAULT", "resnet50 IMAGENET1K_V2"),
        ("resnet50", "FILE", "resnet50 IMAGENET1K_V2"),
        ("efficientnet_b0", "IMAGENET1K_V1", "efficientnet_b0 IMAGENET1K_V1"),
    ],
)
def test_torchvisions_figures_prepare_a_picture_as_torchvision_does(
    picture: Image.Image, weights: str, arch: str, name: str, origin: str
) -> None:
    expects = expected("backbone", {"arch": arch, "weights": weights if name == "FILE" else name})
    assert expects is not None and expects.origin == f"torchvision's figures for {origin}"
    entry = torchvision.models.get_model_weights(arch)["DEFAULT" if name == "FILE" else name]
    assert torch.allclose(seen(picture, expects), entry.transforms()(picture).double(), atol=1e-5)


def test_a_run_of_ours_tells_its_own_preprocessing(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "epochs=1").code == 0
    folder = tmp_path / "outputs" / "x"
    plain = json.loads((folder / "run.json").read_text())["preprocessing"]
    figures = (tuple(plain["mean"]), tuple(plain["std"]), 12, "bilinear", 1.0, "crop")
    for path, name in (
        (folder, "x/checkpoints/best.pt"),
        (folder / "checkpoints" / "best.pt", "best.pt"),
        (folder / "checkpoints" / "last.pt", "last.pt"),
    ):
        expects = expected("small_cnn", {"weights": str(path)})
        assert expects == Expects(*figures, origin=f"the run that made {name}")


RUN: dict[str, Any] = {"mean": [0.1], "std": [0.2], "size": 28, "resize": "lanczos", "fit": "pad", "crop_share": 0.9}


def folder_with(tmp_path: Path, config: object) -> str:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    return str(tmp_path)


def test_a_folder_that_was_exported_tells_the_preprocessing_of_its_run(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"trainer": {"preprocessing": RUN}})
    origin = f"the run that made {tmp_path.name}/model.safetensors"
    wanted = Expects((0.1,), (0.2,), 28, "lanczos", 0.9, "pad", origin)
    assert expected("lenet", {"weights": folder}) == wanted
    assert expected("lenet", {"weights": f"{folder}/model.safetensors"}).mean == (0.1,)  # type: ignore[union-attr]


def test_a_folder_of_the_hub_tells_timms_figures_before_those_of_the_network(tmp_path: Path) -> None:
    published = {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "input_size": [3, 96, 96], "crop_mode": "squash"}
    folder = folder_with(tmp_path, {"pretrained_cfg": {**published, "interpolation": "bilinear", "crop_pct": 0.95}})
    expects = expected("timm", {"arch": "resnet18", "weights": folder})
    origin = f"the figures in {tmp_path.name}/config.json"
    assert expects == Expects((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 96, "bilinear", 0.95, "squish", origin)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("timm", {"arch": "resnet18", "weights": None}),
        ("timm", {"arch": "resnt18", "weights": "DEFAULT"}),
        ("timm", {"arch": "resnet18", "weights": "nowhere.pt"}),
        ("backbone", {"arch": "resnt18", "weights": "DEFAULT"}),
        ("backbone", {"arch": "resnet18", "weights": "IMAGENET1K_V9"}),
        ("small_cnn", {"weights": "FILE"}),
        ("a plugin", {"weights": "FILE"}),
    ],
)
def test_what_nobody_tells_is_not_known(model: str, options: dict[str, Any], weights: str) -> None:
    said = {**options, "weights": weights if options["weights"] == "FILE" else options["weights"]}
    assert expected(model, said) is None


@pytest.mark.parametrize(
    "preprocessing", [{**RUN, "mean_image": "AAAA"}, {**RUN, "mean": None}, {**RUN, "size": "x"}, {}, 7]
)
def test_a_mean_image_and_what_cannot_be_read_are_not_replaced_by_a_publishers_figures(
    tmp_path: Path, preprocessing: object
) -> None:
    torch.save({"model": {"weight": torch.ones(2)}, "preprocessing": preprocessing}, tmp_path / "w.pt")
    assert expected("backbone", {"arch": "resnet18", "weights": str(tmp_path / "w.pt")}) is None


def test_a_damaged_file_and_a_folder_without_weights_are_no_errors_here(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04 cut short")
    for path in (tmp_path, tmp_path / "w.pt"):
        expected("small_cnn", {"weights": str(path)})
