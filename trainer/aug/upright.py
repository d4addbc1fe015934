"""Light augmentation for what has a left and a right."""

from trainer.aug.custom import custom
from trainer.aug.policy import Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, NonNegative, Padding


@AUGS.register
def upright(
    *,
    rotate: Degrees = 10.0,
    zoom: AtLeastOne = 1.1,
    shift: BelowOne = 0.06,
    padding: Padding | None = None,
    brightness: BelowOne = 0.2,
    contrast: BelowOne = 0.2,
    mixup: NonNegative = 0.0,
    cutmix: NonNegative = 0.0,
) -> Policy:
    """As light, but never mirrored: for digits, letters, signs and sides."""
    return custom(**locals())
