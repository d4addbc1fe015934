"""Any classification network of torchvision, with or without trained weights."""

from collections.abc import Iterator
from typing import Any

import torchvision  # type: ignore[import-untyped]
from torch import Tensor, nn

from trainer.errors import CheckpointError, ConfigError, did_you_mean
from trainer.model.files import by_name, located, neighbours
from trainer.model.head import deepen
from trainer.model.staged import Staged
from trainer.model.weights import Begun, load
from trainer.registry import MODELS
from trainer.schema import BelowOne, Count, HeadInit, Match

SIZED = {"vit": "image_size", "maxvit": "input_size"}
"""The families that are built for one image size, and torchvision's word for it."""
WITH_AUXILIARY = ("googlenet", "inception_v3")
SPLIT = ("features", "layers", "encoder", "blocks", "stages", "trunk_output")
"""What torchvision and timm call a container of the whole body, whose children are the stages."""
POOLS = (nn.MaxPool2d, nn.AvgPool2d)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


@MODELS.register
def backbone(
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
) -> "Backbone":
    """Any classification network of torchvision by name, from scratch or from trained weights.

    weights: a file with a state dict, or torchvision's own name (DEFAULT, IMAGENET1K_V2), which is downloaded once.
    Every tensor whose name and shape agree is loaded, so the head is new where the classes differ in number; what was
    loaded, new and left out is in `notes`. Grey images: the first convolution's weights are summed over its input
    channels, which gives what three equal channels would have given. Auxiliary classifiers are left out. hidden: units
    of a dense layer before the last one, with ReLU; dropout: before the last one.
    Raises ConfigError for an arch or size that does not exist, CheckpointError for weights that cannot be used.
    """
    net = _build(arch, num_classes, image_size)
    if hidden is not None or dropout:
        deepen(net, "backbone", hidden, dropout)
    notes: tuple[str, ...] = ()
    if arch in WITH_AUXILIARY:
        notes += (f"{arch}: built without its auxiliary classifiers",)
    if in_channels not in (1, 3):
        raise ConfigError(f"model 'backbone': it takes grey (1) or colour (3) images, not {in_channels} channels.")
    first, conv = next((name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d))
    if in_channels == 1:
        _make_grey(conv)
    begun = Begun()
    if weights is not None:
        begun = load(net, *_tensors(arch, weights), head_init, match)
    elif in_channels == 1:
        notes += (f"grey images: {first} takes one channel, its weights summed over red, green and blue",)
    return Backbone(net, begun, notes)


class Backbone(Staged):
    """A torchvision network with stages; its own names stand under `net`."""

    def __init__(self, net: nn.Module, begun: Begun, notes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.net = net
        self.notes = (*notes, *begun.notes)
        self.keeps_head = begun.keeps_head

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits

    @property
    def stages(self) -> list[nn.Module]:
        """A block is a stage. Loose layers in a row (conv1 and bn1) are one, up to a pooling; a norm closes a block."""
        groups: list[list[nn.Module]] = []
        loose = False  # may a layer join the last group?
        for part in _parts(self.net):
            if isinstance(part, POOLS):
                loose = False
            if not any(True for _ in part.parameters()):
                continue
            is_block = any(True for _ in part.children())
            if groups and (isinstance(part, NORMS) or (loose and not is_block)):
                groups[-1].append(part)
            else:
                groups.append([part])
                loose = not is_block
        return [group[0] if len(group) == 1 else nn.ModuleList(group) for group in groups]


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """The children, those of a container of the whole body in its place, and parameters that no child holds."""
    own = list(module.parameters(recurse=False))
    if own:
        yield nn.ParameterList(own)
    for name, child in module.named_children():
        if name in SPLIT:
            yield from _parts(child)
        else:
            yield child


def _build(arch: str, num_classes: int, image_size: int | None) -> nn.Module:
    names = torchvision.models.list_models(module=torchvision.models)
    if arch not in names:
        hint = did_you_mean(arch, names) or f" There is {', '.join(names)}."
        raise ConfigError(f"model 'backbone': torchvision has no classification network '{arch}'.{hint}")
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if arch in WITH_AUXILIARY else {}
    family = arch.split("_")[0]
    if image_size is not None:
        if family not in SIZED:
            raise ConfigError(f"model 'backbone': {arch} takes images of any size: leave image_size out.")
        options[SIZED[family]] = image_size if family == "vit" else (image_size, image_size)
    try:
        net: nn.Module = torchvision.models.get_model(arch, weights=None, num_classes=num_classes, **options)
    except (ValueError, AssertionError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(f"model 'backbone': {arch} cannot be built for {image_size} pixels: {reason}") from error
    return net


def _make_grey(conv: nn.Conv2d) -> None:
    """Turn a convolution of colour into one of grey that gives what it gave for three equal channels."""
    assert conv.in_channels == 3 and conv.groups == 1
    conv.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    conv.in_channels = 1


def _tensors(arch: str, weights: str) -> tuple[dict[str, Tensor], str]:
    """The state dict that weights names, and what to call it."""
    known = torchvision.models.get_model_weights(arch).__members__
    if weights in known:
        entry = known[weights]
        try:
            return by_name(entry.get_state_dict(progress=True, check_hash=True), weights), f"torchvision's {weights}"
        except (OSError, RuntimeError) as error:  # no network, a proxy, a broken file
            raise CheckpointError(
                f"weights: torchvision's {weights} of {arch} did not arrive ({str(error).strip()}). "
                f"Download {entry.url} by hand and set model.weights to that file."
            ) from error
    place = located(weights)
    if place is None:
        near = did_you_mean(weights, [*known, *neighbours(weights)])
        raise CheckpointError(
            f"weights: there is no file '{weights}', and torchvision's for {arch} are {', '.join(known)}.{near}"
        )
    return place.tensors(), place.name
