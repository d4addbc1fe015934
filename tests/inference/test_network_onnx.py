"""Every family of networks as ONNX, asked beside torch about batches of other sizes than it was recorded with."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from trainer.errors import TrainerError
from trainer.inference.network_onnx import export_network
from trainer.registry import MODELS, entries

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs the extra [export]"
)

EVERYTHING = {
    "widths": [4, 8],
    "activation": "mish",
    "pooling": "concatenated",
    "blur_pool": True,
    "squeeze_excitation": True,
    "dropout": 0.1,
    "noise": 0.1,
}
CASES: dict[str, tuple[str, int, Mapping[str, Any]]] = {
    "backbone": ("backbone", 32, {"arch": "squeezenet1_1"}),
    "lenet": ("lenet", 28, {}),
    "mlp": ("mlp", 16, {}),
    "plain_cnn": ("plain_cnn", 24, {}),
    "small_cnn": ("small_cnn", 16, EVERYTHING),
    "timm": ("timm", 32, {"arch": "test_vit", "image_size": 32}),
    "waste_sorter": ("waste_sorter", 48, {"image_size": 48}),
    "xresnet18": ("xresnet18", 32, {}),
    "zfnet": ("zfnet", 56, {"hidden": 16}),
}
"""Part, pixels on a side, and what makes it small."""
SAME = {"xresnet34", "xresnet50", "xresnet101"}
"""More of what xresnet18 is made of."""


def test_every_model_is_exported_here() -> None:
    assert {name for name, _, _ in CASES.values()} | SAME == set(entries("model"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_network_gives_what_torch_gives_for_any_number_of_images(case: str) -> None:
    import onnxruntime

    name, side, options = CASES[case]
    if name == "timm":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model: nn.Module = MODELS.builder(name)(5, 3, **options).eval()
    network = export_network(model, torch.randn(2, 3, side, side))
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        images = torch.randn(count, 3, side, side)
        with torch.inference_mode():
            ours = model(images)
        (theirs,) = session.run(None, {"images": images.numpy()})
        assert torch.from_numpy(theirs) == pytest.approx(ours, abs=1e-4)


@pytest.mark.slow
def test_a_network_that_onnx_cannot_say_is_one_line() -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(images.flatten(1))

    with pytest.raises(TrainerError, match="cannot be written as ONNX") as told:
        export_network(Odd(), torch.ones(2, 3, 8, 8))
    assert "\n" not in str(told.value)
    assert "linalg_svd" in str(told.value), "which operation it was"
