"""What tutorials on training small CNNs recommend."""

from trainer.aug.custom import custom
from trainer.aug.policy import Policy
from trainer.registry import AUGS
from trainer.schema import AtLeastOne, BelowOne, Degrees, Flip, Fraction, NonNegative


@AUGS.register
def tutorial(
    *,
    flip: Flip = 0.5,
    rotate: Degrees = 15.0,
    zoom: AtLeastOne = 1.1,
    brightness: BelowOne = 0.3,
    salt_pepper: Fraction = 0.05,
    noise: Fraction = 0.1,
    mixup: NonNegative = 0.4,
) -> Policy:
    """What tutorials recommend: mirror, turn with zoom, brighter and darker, salt and pepper, noise, mixup."""
    return custom(**locals())
