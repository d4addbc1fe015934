"""Whether a mirrored picture is one of another class, as a left arrow is a right one: tried, not guessed from names.

One tiny network learns the pictures as they are, another one half of them mirrored. Mirroring that changes the class
costs the second one what the first one can; clothes and animals are told apart all the same.
"""

from collections.abc import Iterator

from trainer.check.tiny import Answers, Gain, Lesson, gain
from trainer.doctor.finding import Finding

_SURE = 3.0
"""Standard errors by which the answers must differ."""
_LOST = 0.05
"""Accuracy that mirroring must cost to be told."""
_CONFUSED = 0.5
"""Share of a class's mirrored pictures that are taken for another class, where they are pictures of it."""
_CLASS_LOST = 0.15
_UNMOVED = 0.01
_LEAST = 1.5
"""Times chance that the plain network must reach, else it tells nothing."""


def of_mirrored(lesson: Lesson, plain: Answers, mirrors: Answers, *, flips: bool) -> Iterator[Finding]:
    """Findings. mirrors: the answers of the network that was taught mirrored pictures too. flips: whether the run's
    augmentation mirrors.
    """
    found = gain(plain.plain, mirrors.plain, lesson.truth)
    if found.one * len(lesson.classes) < _LEAST:
        return
    if flips and found.errors >= _SURE and found.difference >= _LOST:
        yield _costs(lesson, plain, mirrors, found)
    on_mirrored = (plain.mirrored == lesson.truth).double().mean().item()
    if not flips and found.difference <= _UNMOVED and found.errors < 1 and on_mirrored >= found.one - 3 * _UNMOVED:
        yield Finding(
            "could_mirror",
            "note",
            "Mirrored pictures keep their class here, and nothing mirrors them: that would double what is seen.",
            f"{lesson.in_words}: {on_mirrored:.0%} right of mirrored pictures, {found.one:.0%} of plain ones",
            0.5,
            words="aug.flip=0.5",
            practice="A1: mirroring where it does not change content",
        )


def _costs(lesson: Lesson, plain: Answers, mirrors: Answers, found: Gain) -> Finding:
    pairs = _taken_for(lesson, plain, mirrors)
    names = ", ".join(f"{share:.0%} of {one} for {other}" for share, one, other in pairs[:3])
    taken = f"; mirrored, it takes {names}" if pairs else ""
    return Finding(
        "mirror_changes_class",
        "fault" if pairs else "warning",
        "Mirroring makes pictures of one class into those of another, and aug.flip mirrors: they cannot be told apart."
        if pairs
        else "Mirrored pictures are not what the classes look like, and aug.flip mirrors: that makes learning harder.",
        f"{lesson.in_words}: {found.one:.0%} right, {found.other:.0%} with mirroring ({found.errors:.1f} standard "
        f"errors){taken}",
        0.95 if pairs else 0.7,
        words="aug.flip=0",
        practice="A1: mirroring where it does not change content",
    )


def _taken_for(lesson: Lesson, plain: Answers, mirrors: Answers) -> list[tuple[float, str, str]]:
    """(share, class, other class) of the classes whose mirrored pictures are another's, the largest shares first.

    Such pictures are taken for that other class, and where mirroring is taught the class is no longer known.
    """
    found = []
    for label, name in enumerate(lesson.classes):
        own = lesson.truth == label
        counts = plain.mirrored[own].bincount(minlength=len(lesson.classes))
        other = int(counts.argmax())
        share = counts[other].item() / max(1, int(own.sum()))
        if other == label or share < _CONFUSED:
            continue
        either = own | (lesson.truth == other)
        if gain(plain.plain[either], mirrors.plain[either], lesson.truth[either]).difference >= _CLASS_LOST:
            found.append((share, name, lesson.classes[other]))
    return sorted(found, reverse=True)
