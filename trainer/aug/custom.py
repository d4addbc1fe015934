"""Only what is chosen: every augmentation there is, each set to nothing until it is said."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from trainer.aug import colour, geometry, mixing, pixels
from trainer.aug.item import automatic
from trainer.aug.policy import GeometryMap, Policy
from trainer.errors import ConfigError
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, Flip, Fraction, NonNegative, Padding

Stage = TypeVar("Stage")
_ERASED_AREA = 0.4
"""The largest share that Zhong et al. 2017, section 4.3, erase."""
_ACTING = (
    *("flip", "auto", "mixup", "cutmix", "rotate", "zoom", "crop", "crop_aspect", "shift", "shear", "perspective"),
    *("hue", "greyscale", "saturation", "brightness", "contrast", "erase", "salt_pepper", "noise"),
)
"""The options that act by themselves; what may make another class of an image stands first."""
_CALLED = {"flip": "flip", "auto": "{}", "rotate": "turn {:g}"}
"""What an option is called in the opening line, where that is not its name with its value."""
_NOTHING = {"auto": "none", "crop_aspect": 1.0, "zoom": 1.0}
"""The value at which an option does not act, where that is not 0."""


@AUGS.register
def custom(
    *,
    auto: Literal["none", "rand_augment", "trivial_augment", "aug_mix"] = "none",
    auto_strength: Fraction | None = None,
    crop: BelowOne = 0.0,
    crop_aspect: AtLeastOne = 1.0,
    flip: Flip = 0.0,
    rotate: Degrees = 0.0,
    shear: BelowOne = 0.0,
    zoom: AtLeastOne = 1.0,
    shift: BelowOne = 0.0,
    perspective: BelowOne = 0.0,
    padding: Padding | None = None,
    brightness: BelowOne = 0.0,
    contrast: BelowOne = 0.0,
    saturation: BelowOne = 0.0,
    hue: Degrees = 0.0,
    greyscale: Fraction = 0.0,
    noise: Fraction = 0.0,
    salt_pepper: Fraction = 0.0,
    erase: Fraction = 0.0,
    erase_area: Fraction | None = None,
    mixup: NonNegative = 0.0,
    cutmix: NonNegative = 0.0,
) -> Policy:
    """What you choose and nothing else: every augmentation is off until you say it.

    The other parts of this room are this one with other defaults. What is set to nothing (0, or 1 for zoom and
    crop_aspect) costs no time. Raises ConfigError for an option that cannot act.
    """
    words = _words(locals())
    if erase == 0 and erase_area is not None:
        raise ConfigError("aug.erase_area: nothing is erased. Leave it null, or say aug.erase=0.5.")
    within = _chosen(
        geometry.crop(crop, crop_aspect) if crop > 0 or crop_aspect > 1 else None,
        _mirrored(flip),
    )
    beyond = _chosen(
        geometry.rotate(rotate) if rotate > 0 else None,
        geometry.shear(shear) if shear > 0 else None,
        geometry.zoom(zoom) if zoom > 1 else None,
        geometry.shift(shift) if shift > 0 else None,
        geometry.perspective(perspective) if perspective > 0 else None,
    )
    if padding is not None and not beyond:
        raise ConfigError(
            f"aug.padding={padding}: nothing looks beyond the edges. Leave it out, or say aug.rotate, aug.shear, "
            "aug.zoom, aug.shift or aug.perspective."
        )
    return Policy(
        item=automatic(auto, auto_strength),
        geometry=within + beyond,
        padding=padding or ("reflection" if beyond or not within else "border"),  # unseen, it takes the least time
        colour=_chosen(
            colour.brightness(brightness) if brightness > 0 else None,
            colour.contrast(contrast) if contrast > 0 else None,
            colour.saturation(saturation) if saturation > 0 else None,
            colour.hue(hue) if hue > 0 else None,
            colour.greyscale(greyscale) if greyscale > 0 else None,
        ),
        after=_chosen(
            pixels.gaussian(noise) if noise > 0 else None,
            pixels.salt_and_pepper(salt_pepper) if salt_pepper > 0 else None,
            pixels.erase(erase, _ERASED_AREA if erase_area is None else erase_area) if erase > 0 else None,
        ),
        mix=_chosen(mixing.mixup(mixup) if mixup > 0 else None, mixing.cutmix(cutmix) if cutmix > 0 else None),
        words=words,
    )


def _mirrored(flip: float | str) -> GeometryMap | None:
    if isinstance(flip, str):
        return geometry.alternate_flip()
    return geometry.flip(flip) if flip > 0 else None


def _words(options: Mapping[str, Any]) -> tuple[str, ...]:
    acting = [name for name in _ACTING if options[name] != _NOTHING.get(name, 0.0)]
    return tuple(_CALLED.get(name, name + " {:g}").format(options[name]) for name in acting)


def _chosen(*stages: Stage | None) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage is not None)
