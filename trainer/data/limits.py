"""How many images of each part are used."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from trainer.data.source import Samples, Source, images_of_each
from trainer.data.splits import limit
from trainer.errors import DataError, some


def limited(
    source: Source, train: int | None, val: int | None, test: int | Literal["all"] | None
) -> tuple[Source, tuple[str, ...]]:
    """The set with so many images of each part, every class in its share, and a line where a part is meant.

    None: all of them; but of the test part as many as of validation, where that is limited and there are more. Raises
    DataError for a number that a part does not have.
    """
    follows = test is None and val is not None and source.test is not None and val < len(source.test)
    counts = {"limit_train": train, "limit_val": val, "limit_test": val if follows else None if test == "all" else test}
    if counts["limit_test"] is not None and source.test is None:
        raise DataError(f"limit_test={test}: there is no test part to be scored at the end. Leave it out.")
    said = [f"{name}={count}" for name, count in counts.items() if count is not None]
    if follows:
        said[-1] += " (as limit_val; limit_test=all scores them all)"
    taken = replace(
        source,
        train=_limited(source.train, "limit_train", train),
        val=_limited(source.val, "limit_val", val),
        test=None if source.test is None else _limited(source.test, "limit_test", counts["limit_test"], "all"),
    )
    words = f"{', '.join(said)}: only so many of these images are used, every class in its share"
    return taken, (f"{'; '.join([words, *_left_without(source, taken)])}.",) if said else ()


def _left_without(source: Source, taken: Source) -> list[str]:
    """Words on the classes of which a limit leaves no image."""
    pairs = {
        "limit_train": (source.train, taken.train),
        "limit_val": (source.val, taken.val),
        **({"limit_test": (source.test, taken.test)} if source.test and taken.test else {}),
    }
    lost = {name: _lost(whole, used, source.classes) for name, (whole, used) in pairs.items()}
    return [
        f"{name} leaves {len(names)} of the {len(source.classes)} classes without any: {some(names)}"
        for name, names in lost.items()
        if names
    ]


def _lost(whole: Samples, used: Samples, classes: Sequence[str]) -> list[str]:
    before, now = (images_of_each(part.labels, len(classes)).tolist() for part in (whole, used))
    return [
        name for name, some_before, some_now in zip(classes, before, now, strict=True) if some_before and not some_now
    ]


def _limited(samples: Samples, setting: str, count: int | None, everything: str = "null") -> Samples:
    return samples if count is None else limit(samples, count, setting, everything)
