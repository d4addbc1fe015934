"""Whether colours are thrown away that tell the classes, or kept where there are none."""

from collections.abc import Iterator

import numpy as np

from trainer.check.seen import Seen
from trainer.check.tiny import Answers, Lesson, gain
from trainer.doctor.finding import Finding

_TINTED = 8
"""Levels between a pixel's channels from which on a person sees a colour."""
_SOME = 0.02
"""Share of the pictures that must have colours for the set to have them."""
_SURE = 3.0
_LOST = 0.05
_MUCH = 0.25


def coloured(seen: Seen) -> float:
    """The share of the pictures that have colours."""
    spread = seen.small.max(axis=3) - seen.small.min(axis=3)
    strongest = np.percentile(spread.reshape(len(spread), -1), 95, axis=1) if len(spread) else np.zeros(1)
    return float((strongest >= _TINTED).mean())


def has_colours(seen: Seen) -> bool:
    return coloured(seen) >= _SOME


def of_lost_colours(lesson: Lesson, grey: Answers, colour: Answers) -> Iterator[Finding]:
    """Findings where the run sees coloured pictures in grey. The answers: of networks that saw them in either way."""
    found = gain(colour.plain, grey.plain, lesson.truth)
    if found.errors >= _SURE and found.difference >= _LOST:
        yield Finding(
            "colours_lost",
            "fault" if found.difference >= _MUCH else "warning",
            "Colours tell the classes apart, and data.grey=true throws them away.",
            f"{lesson.in_words}: {found.one:.0%} right in colour, {found.other:.0%} in grey ({found.errors:.1f} "
            "standard errors)",
            0.9,
            words="data.grey=false",
            practice="D5: grey or colour chosen on purpose",
        )


def of_needless_colours(seen: Seen) -> Iterator[Finding]:
    """Findings where the run sees three channels, and all pictures are grey."""
    if len(seen.small) and coloured(seen) == 0:
        yield Finding(
            "needless_colours",
            "note",
            "All pictures are grey, and the model sees each three times over: one channel is as good.",
            f"no colours in {len(seen.small):,} pictures{seen.sampled}",
            0.8,
            words="data.grey=true",
            practice="D5: grey or colour chosen on purpose",
        )
