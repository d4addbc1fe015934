"""The set that pictures within larger files make: their classes, and those that are left out or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low

import numpy as np

from trainer.data.assemble import Wishes, assemble
from trainer.data.decode import Frame
from trainer.data.extents import Extents, PackedSamples
from trainer.data.files import Label, Look, label_tensor, median_short_side, names, size_note, sizes, undecodable
from trainer.data.formats import Packed
from trainer.data.keep import Keep
from trainer.data.numbers import refuse_numbers
from trainer.data.passing import Passing, PassingSamples
from trainer.data.several import Several, several_in_words
from trainer.data.source import Samples, Source
from trainer.data.unreadable import unreadable_in_words
from trainer.errors import DataError, did_you_mean, told


@dataclass(frozen=True)
class Bundle:
    """The pictures of one part of a set. keys: their names below root, which may be worked out when asked for."""

    root: Path
    keys: Sequence[str]
    labels: Sequence[Label]
    extents: Extents | Passing
    groups: Sequence[str] | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether any picture has a label."""
        return any(label is not None for label in self.labels)

    @property
    def shown(self) -> set[str]:
        """The classes of which there are pictures."""
        found = set[str]()
        for label in set(self.labels):
            found |= label.shown if isinstance(label, Several) else {label} if label is not None else set()
        return found

    def without(self, numbers: Sequence[int]) -> "Bundle":
        """All but these pictures."""
        rows = np.delete(np.arange(len(self.keys)), np.array(numbers, np.int64))
        kept = rows.tolist()
        groups = None if self.groups is None else [self.groups[row] for row in kept]
        keys, labels = [self.keys[row] for row in kept], [self.labels[row] for row in kept]
        assert isinstance(self.extents, Extents)  # what passes by is not tried before
        return Bundle(self.root, keys, labels, self.extents.take(rows), groups)

    def picture(self, number: int) -> Packed:
        """One of them, as it is stored."""
        assert isinstance(self.extents, Extents)  # what passes by is not asked for by its number
        return self.extents.picture(number, f"{self.root}/{self.keys[number]}")

    def median_side(self) -> int:
        """The median short side. Raises DataError if there are no pictures."""
        if isinstance(self.extents, Passing) and self.extents.side.any():
            return int(median_low(self.extents.side[self.extents.side > 0].tolist()))
        return median_short_side(len(self.keys), self.picture)

    def samples(self, classes: Sequence[str], frame: Frame) -> PackedSamples | PassingSamples:
        """As they are trained on."""
        labels = label_tensor(self.labels, classes)
        if isinstance(self.extents, Passing):
            return PassingSamples(self.root, self.keys, labels, self.extents, frame, self.groups)
        return PackedSamples(self.root, self.keys, labels, self.extents, frame, self.groups)


def packed_source(
    parts: Mapping[str, Bundle],
    look: Look,
    wishes: Wishes,
    keep: Keep,
    *,
    known: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """The set that the parts make: 'train', and 'val' and 'test' where there are such.

    known: the classes in their order, where the set says it; else they are sorted, numbers as numbers. Only those of
    which training has a picture are classes. Raises DataError for a picture without a label (but under on_error='skip',
    and a part without any is left out), for a label that training has not, and as files.file_source does.
    """
    said, left_out = list(notes), list[str]()
    bundles = _with_training(parts, wishes)
    for part in [part for part, bundle in bundles.items() if part != "train" and not bundle.is_labelled]:
        said.append(f"The {part} part has no labels, so it is left out.")
        del bundles[part]
    with told(said, DataError):
        for part, bundle in bundles.items():
            lost = _lost(bundle, look)
            if lost:
                words = unreadable_in_words(list(lost.values()), len(bundle.keys))
                said.append(f"Left out of the {part} part (data.on_error=skip): {words}")
                left_out += lost.values()
                bundles[part] = bundle.without(list(lost))
        classes = _classes(bundles, known, 1 if wishes.val == "none" else 2, said)
        if several := [label for label in bundles["train"].labels if isinstance(label, Several)]:
            said.append(several_in_words(several))
        median = bundles["train"].median_side()
        seen, kept = sizes(median, look.size, look.prepare)
        frame = Frame(kept, look.grey, look.resize, look.fit, look.crop_share or 1.0)
        made: dict[str, Samples] = {part: bundle.samples(classes, frame) for part, bundle in bundles.items()}
        source = assemble(
            classes, made, wishes, size=seen, keep=keep, frame=frame, notes=[size_note(median, seen, frame)]
        )
    listed = ["All that was left out is in left_out.txt."] if left_out else []
    return replace(source, notes=(*said, *listed, *source.notes), losses=tuple(said), left_out=tuple(left_out))


def _with_training(parts: Mapping[str, Bundle], wishes: Wishes) -> dict[str, Bundle]:
    """The parts. What is to be scored is all of one part, whatever it is called."""
    if "train" in parts:
        return dict(parts)
    bundle, *others = parts.values()
    if others or wishes.val != "none":
        raise DataError(f"{bundle.root} has no training part, only {' and '.join(parts)}. Add one.")
    return {"train": bundle}


def _lost(bundle: Bundle, look: Look) -> dict[int, str]:
    """Why a picture is left out, by its number. Raises DataError for one without a label, where none is to be."""
    unlabelled = {
        number: f"{bundle.root}/{bundle.keys[number]}: has no label."
        for number, label in enumerate(bundle.labels)
        if label is None
    }
    if look.on_error == "skip":
        return {**undecodable(len(bundle.keys), bundle.picture, look.grey), **unlabelled}
    if unlabelled:
        first, count = next(iter(unlabelled.values())), f"{len(unlabelled):,} of {len(bundle.keys):,} pictures"
        raise DataError(f"{first} So it is with {count}. Fill it in, or leave them out: data.on_error=skip")
    return {}


def _classes(
    bundles: Mapping[str, Bundle], known: Sequence[str] | None, least: int, said: list[str]
) -> tuple[str, ...]:
    """The classes of the training part, after a check that there are so many, and that no part has another."""
    train = bundles["train"]
    shown = train.shown
    refuse_numbers([label for label in train.labels if isinstance(label, str)], train.root)
    classes = tuple(name for name in known if name in shown) if known else tuple(sorted(shown, key=_in_order))
    if len(classes) < least:
        only = f"only the class {names(classes)}" if classes else "no class"
        raise DataError(f"{train.root}: the training part has {only}. Two are needed at least.")
    if known and len(classes) < len(known):
        absent = names(name for name in known if name not in shown)
        said.append(f"Left out classes of which training has no picture: {absent}.")
    for part, bundle in bundles.items():
        if unknown := sorted(bundle.shown - shown):
            raise DataError(
                f"{bundle.root}: the {part} part has labels that no training picture has: {names(unknown)}."
                f"{did_you_mean(unknown[0], classes)} Mend them, or add such pictures to the training part."
            )
    return classes


def _in_order(name: str) -> tuple[bool, int, str]:
    """Numbers first, as numbers; then words."""
    return (False, int(name), name) if name.isascii() and name.isdigit() else (True, 0, name)
