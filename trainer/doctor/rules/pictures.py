"""Rules on the pictures: how they are prepared, and what of them is taken away."""

from collections.abc import Sequence
from typing import Any

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.reading import at_chance, chance, enough, held, learnt, said, shown

LARGE_INPUT = 20.0
"""Standard deviations: what the network sees is within 3 to 10 where the figures fit."""
WAITED = 0.4
"""Share of the time: below it the model is the slower of the two."""
LEAST_SECONDS = 60.0
"""Of training: what a shorter run waits for is its start."""
PAIR = 0.8
"""Share of the images of two classes that are taken for one of the two."""
APART = (0.35, 0.75)
"""Share of each of two classes that is taken for the other: as good as drawn by lot."""
KNOWN = 0.6
"""Share of the images of the other classes that are recognised: so it is these two, and not the run."""
LEAST_OF_A_CLASS = 8
"""Images by which that can be told."""


def unscaled_input(history: History) -> Finding | None:
    """X8: pixels of 0 to 255, or figures that do not fit, where the network expects about -3 to 3."""
    seen = history.about.get("preprocessing") or {}
    mean, std = _figures(seen.get("mean")), _figures(seen.get("std"))
    if not mean or not std or min(std) <= 0:
        return None
    largest = max(max(abs(0 - m), abs(1 - m)) / s for m, s in zip(mean, std, strict=False))
    if largest <= LARGE_INPUT:
        return None
    return Finding(
        rule="unscaled_input",
        severity="fault" if (learnt(history) or 0.0) < 0.9 else "warning",
        what="The pictures are not scaled: the network sees numbers far larger than it is made for.",
        evidence=f"with mean {shown(mean)} and std {shown(std)} a pixel becomes {largest:.0f}",
        confidence=0.93,
        words="data.normalise=mean_std data.mean=null data.std=null",
        practice="X8",
    )


def colour_taken_away(history: History) -> Finding | None:
    """D5: turning colour to grey cost one author the whole model."""
    share = learnt(history)
    if said(history, "data.grey") is not True or not enough(history) or share is None or share > 0.7:
        return None
    if not at_chance(history) and (held(history) or 0.0) > 0.6:
        return None
    return Finding(
        rule="colour_taken_away",
        severity="warning",
        what="The pictures are made grey, and hardly anything is learnt of them: the classes may differ by colour.",
        evidence=f"data.grey=true; training came {max(0.0, share):.0%} of the way from chance",
        confidence=0.6,
        words="data.grey=false",
        practice="D5",
    )


def mirrored_classes(history: History) -> Finding | None:
    """A1, C15: mirroring makes one class of another, as left and right, or b and d."""
    if not said(history, "aug.flip") or not enough(history):
        return None
    pair = _drawn_by_lot(history.summary.get("confusion") or ())
    if pair is None or (at_chance(history) and len(history.classes) > 2):
        return None
    one, other = (history.classes[place] for place in pair)
    return Finding(
        rule="mirrored_classes",
        severity="fault",
        what=f"“{one}” and “{other}” are told apart no better than by lot, and pictures are mirrored in training: "
        f"mirroring may make one of the other.",
        evidence=f"aug.flip={said(history, 'aug.flip')}; " + _pair_in_words(history, pair),
        confidence=0.85 if len(history.classes) > 2 else 0.6,
        words="aug.flip=0",
        practice="A1",
    )


def data_bound(history: History) -> Finding | None:
    """D6: the model waits for pictures."""
    told = [(epoch.vitals.waited, epoch.seconds or 0.0) for epoch in history.epochs if epoch.vitals.waited is not None]
    seconds = sum(each for _, each in told)
    if seconds < LEAST_SECONDS:
        return None
    waited = sum((share or 0.0) * each for share, each in told) / seconds
    if waited < WAITED:
        return None
    keeps = said(history, "data.cache") == "none"
    words = "data.cache=auto" if keeps else "workers=auto" if said(history, "workers") == 0 else ""
    return Finding(
        rule="data_bound",
        severity="warning",
        what="The model waits for its pictures most of the time.",
        evidence=f"{waited:.0%} of {seconds:,.0f} s of training",
        confidence=0.9,
        words=words,
        advice="" if words else "Keep smaller pictures (data.prepare), or more of them in memory (data.cache=ram).",
        practice="D6",
    )


def _drawn_by_lot(confusion: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Two classes of which each is taken for the other about half of the time, where all others are known or so too."""
    places = range(len(confusion))
    pairs = [(one, other) for other in places for one in range(other) if _are_mixed(confusion, one, other)]
    mixed = {place for pair in pairs for place in pair}
    others = [
        confusion[place][place] / sum(row) for place, row in enumerate(confusion) if place not in mixed and any(row)
    ]
    return pairs[0] if pairs and min(others, default=1.0) >= KNOWN else None


def _are_mixed(confusion: Sequence[Sequence[int]], one: int, other: int) -> bool:
    rows, shares = (confusion[one], confusion[other]), list[float]()
    for row, wrong in zip(rows, (other, one), strict=True):
        if sum(row) < LEAST_OF_A_CLASS or row[one] + row[other] < PAIR * sum(row):
            return False
        shares.append(row[wrong] / sum(row))
    return APART[0] <= sum(shares) / 2 <= APART[1]


def _pair_in_words(history: History, pair: tuple[int, int]) -> str:
    confusion: Any = history.summary["confusion"]
    return ", ".join(
        f"{confusion[label][answer]} of {sum(confusion[label])} “{history.classes[label]}” taken for "
        f"“{history.classes[answer]}”"
        for label, answer in (pair, pair[::-1])
    ) + (f"; chance is {chance(history) or 0.0:.0%}" if len(history.classes) == 2 else "")


def _figures(told: Any) -> list[float]:
    """A figure a channel; none where each pixel has its own."""
    return [float(each) for each in told] if isinstance(told, list) and all(_is_number(each) for each in told) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
