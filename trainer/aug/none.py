"""No augmentation."""

from trainer.aug.policy import Policy
from trainer.registry import AUGS


@AUGS.register
def none() -> Policy:
    """The images as they are."""
    return Policy()
