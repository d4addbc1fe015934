"""Light augmentation for what has a left and a right."""

from trainer.aug.light import light
from trainer.aug.policy import Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees


@AUGS.register
def upright(
    *,
    rotate: Degrees = 10.0,
    zoom: AtLeastOne = 1.1,
    shift: BelowOne = 0.06,
    brightness: BelowOne = 0.2,
    contrast: BelowOne = 0.2,
) -> Policy:
    """As light, but never mirrored: for digits, letters, signs and sides."""
    return light(flip=0.0, rotate=rotate, zoom=zoom, shift=shift, brightness=brightness, contrast=contrast)
