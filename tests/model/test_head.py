"""A head of two layers on a body that was trained elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended
from torch import nn

from trainer.errors import ConfigError
from trainer.model.backbone import backbone

Train = Callable[..., Ended]


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
