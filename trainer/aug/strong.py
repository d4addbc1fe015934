"""Strong augmentation: geometry, colour and erasing all together."""

from typing import Literal

from trainer.aug.custom import custom
from trainer.aug.policy import Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, Flip, Fraction, NonNegative, Padding


@AUGS.register
def strong(
    *,
    auto: Literal["none", "rand_augment", "trivial_augment", "aug_mix"] = "none",
    auto_strength: Fraction | None = None,
    crop: BelowOne = 0.5,
    crop_aspect: AtLeastOne = 1.33,
    flip: Flip = 0.5,
    rotate: Degrees = 15.0,
    shear: BelowOne = 0.1,
    zoom: AtLeastOne = 1.1,
    shift: BelowOne = 0.06,
    perspective: BelowOne = 0.2,
    padding: Padding | None = None,
    brightness: BelowOne = 0.4,
    contrast: BelowOne = 0.4,
    saturation: BelowOne = 0.4,
    hue: Degrees = 20.0,
    greyscale: Fraction = 0.1,
    noise: Fraction = 0.0,
    salt_pepper: Fraction = 0.0,
    erase: Fraction = 0.25,
    erase_area: Fraction | None = None,
    mixup: NonNegative = 0.0,
    cutmix: NonNegative = 0.0,
) -> Policy:
    """All of geometry and colour, and erasing, for long runs: with few epochs it costs accuracy."""
    return custom(**locals())
