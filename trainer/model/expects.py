"""How the pictures were prepared that weights were trained on, told without building the network or downloading."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from trainer.errors import TrainerError
from trainer.model.files import FROM_HUB, OURS, located
from trainer.model.hub import ON_HUB, fetched
from trainer.schema import Fit, Resize, choices
from trainer.size import PlainSize, Size, size_of

FITS: dict[str, Fit] = {"center": "crop", "squash": "squish", "border": "pad"}
"""timm's words for how a picture fills a size."""


@dataclass(frozen=True)
class Expects:
    """How the pictures were prepared that some weights were trained on; None where that is not known."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of each channel, for values in [0, 1]."""
    size: PlainSize | None
    """Of what the network saw, as data.size says it."""
    resize: Resize | None
    crop_share: float | None
    """The share that was seen of each side of the largest central part of their proportions; 1 for all of it."""
    fit: Fit | None
    origin: str
    """Who says so."""
    fixed: bool = False
    """Whether the network takes pictures of that size alone."""


def expected(model: str, options: Mapping[str, Any]) -> Expects | None:
    """What the weights of a model expect, as their file or their publisher tells; None where neither does.

    model: the name of the part; options: its options. What is wrong with them is no error here: building tells it;
    but what a hub does not give raises CheckpointError.
    """
    weights, arch = options.get("weights"), str(options.get("arch"))
    if not isinstance(weights, str):
        return None
    if weights.startswith(ON_HUB):
        fetched(weights)  # or else no figures now, and the weights a moment later, if the network comes and goes
    with suppress(TrainerError, ImportError, OSError, TypeError, ValueError, LookupError, AttributeError, RuntimeError):
        place = located(weights)
        if place is not None:
            run = place.told().get("preprocessing", place.said(OURS).get("preprocessing"))
            if run is not None:
                return _of_run(run, place.name)
            if "mean" in (published := place.said("pretrained_cfg")):
                folder = place.name.rpartition("/")[0] or place.file.parent.name
                return _of_timm(published, f"the figures in {folder}/config.json")
        if model == "timm" and (place is not None or weights == FROM_HUB):
            config = import_module("timm").get_pretrained_cfg(arch)
            return _of_timm(config.to_dict(), f"timm's figures for {arch}")
        if model == "backbone":
            return _of_torchvision(arch, weights if place is None else "DEFAULT")
    return None


def _of_run(plain: Mapping[str, Any], name: str) -> Expects | None:
    """plain: the preprocessing that a run of ours has stored. A mean image belongs to that run's pictures alone."""
    if plain.get("mean_image") is not None:
        return None
    share = plain.get("crop_share")
    return Expects(
        _floats(plain["mean"]),
        _floats(plain["std"]),
        size_of(plain["size"]).plain,
        _one_of(Resize, plain.get("resize")),
        1.0 if share is None else float(share),
        _one_of(Fit, plain.get("fit")),
        f"the run that made {name}",
    )


def _of_timm(config: Mapping[str, Any], origin: str) -> Expects:
    """config: a pretrained_cfg of timm's, whose defaults are timm's too."""
    _, height, width = config.get("input_size", (3, 224, 224))
    return Expects(
        _floats(config["mean"]),
        _floats(config["std"]),
        Size(int(height), int(width)).plain,
        _one_of(Resize, config.get("interpolation", "bicubic")),
        float(config.get("crop_pct", 0.875)),
        FITS.get(config.get("crop_mode", "center")),
        origin,
        bool(config.get("fixed_input_size")),
    )


def _of_torchvision(arch: str, name: str) -> Expects:
    """name: of an entry among torchvision's weights for the network."""
    from trainer.model.backbone import SIZED  # torchvision comes with it

    entry = import_module("torchvision").models.get_model_weights(arch)[name]
    seen = entry.transforms()
    (size,), (resized,) = seen.crop_size, seen.resize_size
    return Expects(
        _floats(seen.mean),
        _floats(seen.std),
        size,
        _one_of(Resize, seen.interpolation.value),
        size / resized,
        "crop",
        f"torchvision's figures for {arch} {entry.name}",
        arch.split("_")[0] in SIZED,
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _one_of(annotation: Any, word: Any) -> Any:
    """The word, where it is one that the annotation names; None where it is another program's alone."""
    return word if word in choices(annotation) else None
