"""Light augmentation: what leaves an object the same object."""

from trainer.aug.custom import custom
from trainer.aug.policy import Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, Flip, NonNegative, Padding


@AUGS.register
def light(
    *,
    flip: Flip = 0.5,
    rotate: Degrees = 10.0,
    zoom: AtLeastOne = 1.1,
    shift: BelowOne = 0.06,
    padding: Padding | None = None,
    crop: BelowOne = 0.0,
    crop_aspect: AtLeastOne = 1.0,
    brightness: BelowOne = 0.2,
    contrast: BelowOne = 0.2,
    mixup: NonNegative = 0.0,
    cutmix: NonNegative = 0.0,
) -> Policy:
    """A little of everything: mirror, turn, zoom, shift, crop, brightness, contrast; each can be set to nothing.

    What is set to nothing (0, or 1 for zoom and crop_aspect) costs no time.
    """
    return custom(**locals())
