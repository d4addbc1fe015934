"""Every network of the package timm, with or without trained weights."""

from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from trainer.errors import CheckpointError, ConfigError, did_you_mean
from trainer.model.backbone import Backbone
from trainer.model.files import FROM_HUB
from trainer.model.head import deepen, heads, start
from trainer.model.weights import Begun, load_file
from trainer.registry import MODELS
from trainer.schema import BelowOne, Count, HeadInit, Match


@MODELS.register
def timm(
    num_classes: int,
    in_channels: int,
    *,
    arch: str,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
    image_size: Count | None = None,
    hidden: Count | None = None,
    dropout: BelowOne = 0.0,
    stochastic_depth: BelowOne = 0.0,
) -> Backbone:
    """Any network of the package timm by name (inception_resnet_v2, convnext_tiny, ...), trained weights if you like.

    weights: a file with a state dict, or DEFAULT for those that timm downloads for this name, once. The head is new
    where the classes differ in number; hidden: units of a dense layer with ReLU before its last one. Needs the extra:
    pip install 'trainer[timm]'.
    Raises ConfigError if timm is not installed, has no such network, or the network lacks an option that is set;
    CheckpointError for weights that cannot be used.
    """
    package = _package()
    if not package.is_model(arch):
        hint = did_you_mean(arch, package.list_models()) or " See timm.list_models()."
        raise ConfigError(f"model 'timm': timm has no network '{arch}'.{hint}")
    drop_rate = dropout or None if hidden is None else None  # with a hidden layer it stands behind that
    said = {"img_size": image_size, "drop_rate": drop_rate, "drop_path_rate": stochastic_depth or None}
    options = {key: value for key, value in said.items() if value is not None}
    net = _create(package, arch, weights == FROM_HUB, num_classes=num_classes, in_chans=in_channels, **options)
    if hidden is not None:
        deepen(net, "timm", hidden, dropout)
    if weights == FROM_HUB:
        begun = _from_hub(net, arch, head_init, fits=hidden is None and _known_classes(net) == num_classes)
    else:
        begun = Begun() if weights is None else load_file(net, weights, head_init, match)
    return Backbone(net, begun)


def _from_hub(net: nn.Module, arch: str, head_init: HeadInit, *, fits: bool) -> Begun:
    """What is to be said of timm's own weights, which the net has. A head that is new, or shall be, is started."""
    said = f"weights: timm's own for {arch}"
    if fits and head_init != "new":
        return Begun((said,), keeps_head=True)
    if head_init == "default":  # timm has drawn it
        return Begun((f"{said}; the head is new",))
    return Begun((f"{said}; the head is new: {start(net, heads(net).values(), head_init)}",))


def _known_classes(net: nn.Module) -> int | None:
    """How many classes timm's own weights of the net know."""
    known: int | None = getattr(net, "pretrained_cfg", {}).get("num_classes")
    return known


def _package() -> ModuleType:
    try:
        return import_module("timm")
    except ImportError as error:
        raise ConfigError(
            "model 'timm': the package timm is not installed. Install it: pip install 'trainer[timm]'. "
            "torchvision's networks need no extra: model=backbone."
        ) from error


def _create(package: ModuleType, arch: str, pretrained: bool, **options: Any) -> nn.Module:
    try:
        net: nn.Module = package.create_model(arch, pretrained=pretrained, **options)
    except TypeError as error:  # an argument that this network's own function does not know
        words = {"img_size": "image_size", "drop_rate": "dropout", "drop_path_rate": "stochastic_depth"}
        unknown = next((word for key, word in words.items() if key in str(error)), None)
        if unknown is None:
            raise
        raise ConfigError(f"model 'timm': {arch} has no {unknown}: leave it out.") from error
    except (OSError, RuntimeError) as error:  # no such weights, no network, a proxy, a broken file
        if not pretrained:
            raise
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(f"weights: timm's for {arch} did not arrive ({reason}). Give a file instead.") from error
    return net
