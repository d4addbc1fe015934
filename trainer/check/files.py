"""What the files of a set are: sizes, colour modes, and which cannot be read."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from trainer.check.seen import Seen
from trainer.data.source import Source
from trainer.data.unreadable import unreadable_in_words
from trainer.doctor.finding import Finding
from trainer.size import Size

_SHOWN = 3
_ENLARGED = 2.0
"""Times by which a picture is enlarged from which on it is told: it brings no detail, and costs as if it did."""
_OFTEN = 0.05
_SHRUNK = 16.0
"""Times by which the sides shrink from which on small things vanish."""
_LOST = 0.4
"""Share of a picture's area that is cut away from which on it is told; a photograph of 3:2 loses a third."""
_SQUASHED = 1.5


def in_words(seen: Seen) -> list[str]:
    """Lines on sizes and modes."""
    if not seen.sizes:
        return []
    sizes, modes = Counter(seen.sizes), Counter(seen.modes)
    shorter = [min(size) for size in seen.sizes]
    if len(sizes) == 1:
        each = f"all {seen.sizes[0]}"
    else:
        common = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(_SHOWN))
        each = (
            f"{len(sizes):,} sizes, short sides {min(shorter)} to {max(shorter)}, median {median(shorter):g}: {common}"
        )
        each += ", …" if len(sizes) > _SHOWN else ""
    said = ", ".join(f"{mode} ({count:,})" for mode, count in modes.most_common())
    return [f"sizes, height x width{seen.sampled}: {each}", f"colour modes: {said}"]


def of_files(seen: Seen, source: Source, skips: bool) -> Iterator[Finding]:
    """Findings. skips: whether the run leaves out what cannot be read (data.on_error=skip)."""
    yield from _unreadable(seen, source, skips)
    if source.frame is None or not seen.sizes:
        return  # the set's own pixels are taken as they are
    yield from _enlarged(seen, source)
    yield from _shrunk(seen, source)
    yield from _reshaped(seen, source)


def _unreadable(seen: Seen, source: Source, skips: bool) -> Iterator[Finding]:
    reasons = [*seen.unreadable, *source.left_out]
    if not reasons:
        return
    total = seen.looked_at + len(source.left_out)
    yield Finding(
        "unreadable",
        "warning" if skips else "fault",
        "Some files are no pictures that can be read" + (", and are left out." if skips else ", and end the run."),
        unreadable_in_words(reasons, total).replace("\n  ", " "),
        1.0,
        words="" if skips else "data.on_error=skip",
        advice="Mend or remove them.",
        practice="D6: decoded once, and told before the run",
    )


def _enlarged(seen: Seen, source: Source) -> Iterator[Finding]:
    """Of pictures that are smaller than what the model sees."""
    times = sorted(_scale(size, source.size) for size in seen.sizes)
    many = [each for each in times if each >= _ENLARGED]
    if len(many) < _OFTEN * len(times):
        return
    middle = times[len(times) // 2]
    fitting = min(round(source.size.side / middle), source.size.side)
    yield Finding(
        "enlarged",
        "warning" if middle >= _ENLARGED else "note",
        "Pictures are enlarged to data.size: that adds time, and no detail.",
        f"{len(many):,} of {len(times):,} by {_ENLARGED:g} times or more; {middle:.3g} times in the middle",
        0.8,
        words=f"data.size={fitting}" if middle >= _ENLARGED and source.size.is_square else "",
        advice="Trained weights may want their size all the same.",
        practice="D4: resizing, up as well as down",
    )


def _shrunk(seen: Seen, source: Source) -> Iterator[Finding]:
    times = sorted(1 / _scale(size, source.size) for size in seen.sizes)
    middle = times[len(times) // 2]
    if middle >= _SHRUNK:
        yield Finding(
            "shrunk",
            "note",
            "Pictures are much larger than what the model sees: what is small in them vanishes.",
            f"sides shrink {middle:.3g} times in the middle, to {source.size}: what is {round(middle)} pixels wide "
            "becomes one",
            0.6,
            advice="Where small things tell the class, say a larger data.size, or cut them out before.",
            practice="D4: resizing loses texture",
        )


def _reshaped(seen: Seen, source: Source) -> Iterator[Finding]:
    """Of pictures whose proportions are not those of what the model sees."""
    assert source.frame is not None
    if source.frame.fit == "pad":
        return
    wanted = source.size.width / source.size.height
    ratios = sorted(size.width / size.height / wanted for size in seen.sizes)
    stretched = sorted(max(ratio, 1 / ratio) for ratio in ratios)
    middle, usual = stretched[len(stretched) // 2], ratios[len(ratios) // 2]
    lost = 1 - 1 / middle
    cuts = source.frame.fit == "crop"
    if lost < _LOST if cuts else middle < _SQUASHED:
        return
    height, width = source.size
    fitting = (
        Size(height, round(height * wanted * usual)) if usual > 1 else Size(round(width / (wanted * usual)), width)
    )
    if cuts:
        what = "Pictures have other proportions than data.size, and much of each is cut away."
        evidence = f"{lost:.0%} of the picture in the middle, its sides {middle:.3g} to 1 beside data.size"
    else:
        what = "Pictures have other proportions than data.size: what is in them is squashed."
        evidence = f"{middle:.3g} times in the middle"
    yield Finding(
        "reshaped",
        "warning",
        what,
        evidence,
        0.7,
        words="data.fit=pad",
        advice=f"Or say their own proportions: data.size='[{fitting.height},{fitting.width}]'.",
        practice="D4: crop, squish or pad",
    )


def _scale(size: Size, wanted: Size) -> float:
    """By how much the sides grow until the picture covers what the model sees."""
    return max(wanted.height / size.height, wanted.width / size.width)
