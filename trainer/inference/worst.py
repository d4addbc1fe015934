"""Pictures that were answered wrongly, each beside a map of what spoke for the answer."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from trainer.feed.normalise import Normalisation
from trainer.inference.cam import class_activation_maps
from trainer.report.page.pictures import Mistake, drawn, overlaid

MOST = 12
"""Mistakes that a page shows."""


def with_pictures(
    model: nn.Module, images: Tensor, normalisation: Normalisation, mistakes: Sequence[Mistake], classes: Sequence[str]
) -> tuple[Mistake, ...]:
    """The mistakes with their pictures and maps. images: (B, C, H, W) as the model sees them, one for each."""
    answers = [classes.index(mistake.prediction) for mistake in mistakes]
    maps = class_activation_maps(model, images.float(), answers)
    seen = normalisation.undone(images.float()).clamp(0, 1).cpu()
    return tuple(
        replace(mistake, picture=drawn(image), map="" if maps is None else overlaid(image, maps[place]))
        for place, (mistake, image) in enumerate(zip(mistakes, seen, strict=True))
    )
