"""The classic nets against the structure that their papers give."""

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.model.lenet import lenet
from trainer.model.mlp import mlp
from trainer.model.waste_sorter import waste_sorter
from trainer.model.xresnet import xresnet101
from trainer.model.zfnet import zfnet


def parameters_by_layer(model: nn.Module) -> list[int]:
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]


def test_lenet_has_the_61706_parameters_of_its_usual_form() -> None:
    assert parameters_by_layer(lenet(10, 1)) == [156, 2416, 48_120, 10_164, 850]
    assert sum(parameters_by_layer(lenet(10, 1))) == 61_706


@pytest.mark.parametrize("pixels", [28, 32, 64])
def test_lenet_takes_other_sizes_by_averaging_its_last_maps(pixels: int) -> None:
    assert lenet(10, 1)(torch.zeros(2, 1, pixels, pixels)).shape == (2, 10)


def test_zfnet_has_the_maps_and_parameters_of_figure_3() -> None:
    with torch.device("meta"):
        model, x, shapes = zfnet(1000, 3), torch.zeros(1, 3, 224, 224), []
        for stage in model.stages:
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes[:4] == [(96, 55, 55), (256, 13, 13), (384, 13, 13), (384, 13, 13)]
    assert shapes[4:] == [(256 * 6 * 6,), (4096,), (4096,), (1000,)]
    convs = [7**2 * 3 * 96 + 96, 5**2 * 96 * 256 + 256, 9 * 256 * 384 + 384, 9 * 384 * 384 + 384, 9 * 384 * 256 + 256]
    dense = [256 * 36 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000]
    assert parameters_by_layer(model) == convs + dense


def test_the_waste_sorter_sees_21_by_21_maps_of_images_of_225_pixels() -> None:
    with torch.device("meta"):
        model, x, shapes = waste_sorter(2, 3), torch.zeros(1, 3, 225, 225), []
        for stage in model.stages:
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 70, 70), (21 * 21 * 32,), (128,), (2,)]
    assert model.get_submodule("dense")[-1].p == 0.5  # type: ignore[index,union-attr]


def test_the_waste_sorter_refuses_smaller_images_and_averages_larger_ones() -> None:
    model = waste_sorter(2, 3, image_size=48).eval()
    assert model(torch.zeros(1, 3, 60, 50)).shape == (1, 2)
    with pytest.raises(ConfigError, match=r"built for 48 pixels, and the images have 40x48\. Set data\.size=48"):
        model(torch.zeros(1, 3, 40, 48))
    with pytest.raises(ConfigError, match="image_size=44 is too small; it takes 45 and more"):
        waste_sorter(2, 3, image_size=44)


def test_the_mlp_refuses_smaller_images_and_averages_larger_ones() -> None:
    model = mlp(2, 3, image_size=8)
    assert parameters_by_layer(model) == [(3 * 64 + 1) * 512, 513 * 512, 513 * 512, 513 * 2]
    assert model(torch.zeros(1, 3, 9, 20)).shape == (1, 2)
    with pytest.raises(ConfigError, match=r"built for 8 pixels, and the images have 7x9\. Set model\.image_size=7"):
        model(torch.zeros(1, 3, 7, 9))


def test_xresnet101_has_44_6_million_parameters_in_3_4_23_and_3_blocks() -> None:
    with torch.device("meta"):
        model = xresnet101(1000, 3)
    assert [len(list(stage.children())) for stage in model.stages[1:5]] == [3, 4, 23, 3]
    count = sum(parameter.numel() for parameter in model.parameters())
    assert round(count / 1e6, 2) == 44.57  # ResNet-D of 101 layers, e.g. resnet101d in timm
