"""Pictures that are there twice: in one part, in two parts (a leak), or under two labels (a contradiction)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple, cast

from trainer.check.alike import alike
from trainer.check.seen import PARTS, Seen, names_of, parts_of
from trainer.data.listing import Sides, files_of, same_files
from trainer.data.source import ArraySamples, Samples, Source, classes_of_each
from trainer.doctor.finding import Finding
from trainer.feed.store import whole_of

Place = tuple[int, int]
"""Of a picture: the number of its part, and where it is in it."""
Between = Literal["classes", "parts", "one part"]
BETWEEN: tuple[Between, ...] = ("classes", "parts", "one part")
"""What two equal pictures are apart in; the gravest first."""
_SHOWN = 3
_MANY = 0.01
"""Share of a part's pictures from which on a leak makes its scores worthless."""
_OFTEN = 0.05


class Picture(NamedTuple):
    """A picture of a set: its part by number, its place there, its name for a person, and its classes."""

    part: int
    place: int
    name: str
    classes: tuple[int, ...] | None


@dataclass(frozen=True)
class Pair:
    """Two pictures that are the same, the earlier part's first. exact: byte for byte."""

    one: Picture
    other: Picture
    between: Between
    exact: bool


@dataclass(frozen=True)
class Duplicates:
    """All pairs, the gravest first; and how many pictures each part has."""

    pairs: tuple[Pair, ...]
    counts: dict[int, int]
    sampled: str
    """Words for the evidence, where not all pictures were looked at."""
    all_compared: bool
    """Byte for byte."""


def find(source: Source, seen: Seen) -> Duplicates:
    """Exact pairs of all files and arrays, and of the pictures that were looked at the pairs that show the same."""
    parts = parts_of(source)
    groups, all_compared = _same_files(parts)
    groups += _same_arrays(parts)
    group_of = {place: number for number, group in enumerate(groups) for place in group}
    found = alike(seen.small)
    seen_places = list(zip(seen.parts.tolist(), seen.places.tolist(), strict=True))
    near = [
        (seen_places[one], seen_places[other])
        for one, other in zip(found.one.tolist(), found.other.tolist(), strict=True)
    ]
    near = [(one, other) for one, other in near if one not in group_of or group_of[one] != group_of.get(other)]
    picture = _Pictures(parts)
    pairs = [picture.pair(one, other, exact=True) for group in groups for one, other in picture.pairs_in(group)]
    pairs += [picture.pair(one, other, exact=False) for one, other in near]
    pairs.sort(key=lambda pair: (not pair.exact, BETWEEN.index(pair.between), pair.one[:2], pair.other[:2]))
    counts = {number: len(samples) for number, samples in parts.items()}
    return Duplicates(tuple(pairs), counts, seen.sampled, all_compared)


class _Pictures:
    """The pictures of a set by their places."""

    def __init__(self, parts: dict[int, Samples]) -> None:
        self.names = names_of(parts)
        self.classes = {number: classes_of_each(samples.labels) for number, samples in parts.items()}

    def at(self, place: Place) -> Picture:
        number, index = place
        return Picture(number, index, self.names[number][index], self.classes[number][index])

    def pair(self, one: Place, other: Place, *, exact: bool) -> Pair:
        first, second = self.at(min(one, other)), self.at(max(one, other))
        between: Between = "one part" if first.part == second.part else "parts"
        if first.classes is not None and second.classes is not None and first.classes != second.classes:
            between = "classes"
        return Pair(first, second, between, exact)

    def pairs_in(self, group: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
        """Each with the first one of its own part and classes, and with the first one of each other."""
        sides = defaultdict[tuple[int, tuple[int, ...] | None], list[Place]](list)
        for place in sorted(group):
            sides[place[0], self.at(place).classes].append(place)
        for own in sides.values():
            yield from ((own[0], each) for each in own[1:])
        for one, other in combinations(sides.values(), 2):
            yield from ((one[0], each) for each in other)


def of_duplicates(found: Duplicates) -> Iterator[Finding]:
    """Findings, one for each way in which pictures are there twice."""
    for exact in (True, False):
        chosen = [pair for pair in found.pairs if pair.exact == exact]
        if contrary := [pair for pair in chosen if pair.between == "classes"]:
            yield _in_two_classes(contrary, found, exact)
        for one, other in combinations(sorted(found.counts), 2):
            across = [pair for pair in chosen if (pair.one.part, pair.other.part) == (one, other)]
            if across:
                yield _in_two_parts(across, found, one, other, exact)
        if within := [pair for pair in chosen if pair.between == "one part" and pair.one.part == 0]:
            yield _in_training(within, found, exact)


def _in_two_classes(pairs: Sequence[Pair], found: Duplicates, exact: bool) -> Finding:
    if exact:
        what = "The same pictures stand under several labels, byte for byte: only one of the labels can be right."
    else:
        what = "Pictures of several classes show the same, as if saved again: one of their labels may be wrong."
    count = len({picture for pair in pairs for picture in (pair.one, pair.other)})
    return Finding(
        "same_in_two_classes" if exact else "alike_in_two_classes",
        "fault" if exact else "warning",
        what,
        f"{_counted(count, found, exact)} pictures: {_named(pairs)}",
        1.0 if exact else 0.7,
        advice="Keep each picture under the label that is right, and delete the other.",
        practice="X4: labels that contradict each other keep the training loss up",
    )


def _in_two_parts(pairs: Sequence[Pair], found: Duplicates, one: int, other: int, exact: bool) -> Finding:
    count, total = len({pair.other for pair in pairs}), found.counts[other]
    grave = exact and one == 0 and count >= _MANY * total
    how = "are {} pictures too, byte for byte" if exact else "show the same as {} pictures, as if saved again"
    return Finding(
        "leak" if exact else "leak_of_copies",
        "fault" if grave else "warning",
        f"Some {PARTS[other]} pictures {how.format(PARTS[one])}: the {PARTS[other]} scores flatter.",
        f"{_counted(count, found, exact)} of {total:,}: {_named(pairs)}",
        1.0 if exact else 0.8,
        advice="Delete them from one of the parts. Where a share is held out, data.group keeps together what is alike.",
        practice="D1: what validates must be new",
    )


def _in_training(pairs: Sequence[Pair], found: Duplicates, exact: bool) -> Finding:
    count, total = len({pair.other for pair in pairs}), found.counts[0]
    how = "are there twice, byte for byte" if exact else "show the same as another, as if saved again"
    return Finding(
        "same_in_training" if exact else "alike_in_training",
        "warning" if count >= _OFTEN * total else "note",
        f"Some training pictures {how}: they count twice.",
        f"{_counted(count, found, exact)} of {total:,}: {_named(pairs)}",
        1.0 if exact else 0.7,
        advice="Delete what is there twice.",
        practice="D1: a share held out of such pictures is not new",
    )


def _counted(count: int, found: Duplicates, exact: bool) -> str:
    """So many, as far as pictures were compared."""
    if exact:
        return f"{count:,}" if found.all_compared else f"at least {count:,}"
    return f"{count:,}{found.sampled}"


def _same_files(parts: dict[int, Samples]) -> tuple[list[list[Place]], bool]:
    sides: Sides = {
        (number, place): [file] for number, samples in parts.items() for place, file in enumerate(files_of(samples))
    }
    groups, all_seen = same_files(sides)
    return [cast(list[Place], list(group)) for group in groups], all_seen


def _same_arrays(parts: dict[int, Samples]) -> list[list[Place]]:
    groups = defaultdict[bytes, list[Place]](list)
    for number, samples in parts.items():
        whole, rows = whole_of(samples)
        if isinstance(whole, ArraySamples):
            pixels = whole.pixels.contiguous().numpy()
            for place, row in enumerate(rows.tolist()):
                groups[hashlib.sha256(pixels[row].data).digest()].append((number, place))
    return [group for group in groups.values() if len(group) > 1]


def _named(pairs: Sequence[Pair]) -> str:
    """The first three pairs by name, and '…' if there are more."""
    shown = [f"{pair.one.name} and {pair.other.name}" for pair in pairs[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(pairs) > _SHOWN else "")
