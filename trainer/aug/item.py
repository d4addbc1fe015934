"""Chains of image operations on one image at a time, torchvision's own."""

from typing import cast

from trainer.aug.policy import ItemStage
from trainer.errors import ConfigError
from trainer.system.exact import exact

_STEPS = {"rand_augment": 30, "aug_mix": 10}
"""torchvision's own number of steps from nothing to the strongest."""


def automatic(auto: str, strength: float | None) -> ItemStage | None:
    """RandAugment (Cubuk et al. 2020), TrivialAugment (Müller and Hutter 2021) or AugMix (Hendrycks et al. 2020).

    strength: from 0 to 1, the share of the strongest; None: as torchvision has it (0.3). None of both for 'none', which
    has no strength, as TrivialAugment, which draws it: there it raises ConfigError.
    """
    if strength is not None and auto not in _STEPS:
        raise ConfigError(
            f"aug.auto_strength: it cannot act with aug.auto={auto}. Leave it null, or choose {' or '.join(_STEPS)}."
        )
    if auto == "none":
        return None
    from torchvision.transforms import v2  # type: ignore[import-untyped]  # imported here: it takes half a second

    if auto == "trivial_augment":
        return cast(ItemStage, v2.TrivialAugmentWide())
    steps = round(exact(0.3 if strength is None else strength) * _STEPS[auto])
    return cast(ItemStage, v2.RandAugment(magnitude=steps) if auto == "rand_augment" else v2.AugMix(max(1, steps)))
