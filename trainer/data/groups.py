"""Groups: images of one patient, place or video, which stay together, so that what validates is new to the training.

A division depends on the groups' names and on what they hold, never on the order of a listing or on the run's seed.
Labels are (N,) int64, -1 for ignored; or (N, L) of 1, 0 and -1, of which each 1 counts.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.source import Samples, Source
from trainer.errors import some
from trainer.rng import seed_of

Counts = NDArray[np.int64]
_WORTH_A_CHANGE = 0.01
_SMALLER = (
    "Say what tells patients, places or videos apart (a pattern sees class folders too, and one such as '/(p\\d+)_' "
    "begins behind them), or leave data.group out."
)


def groups_held_out(groups: Sequence[str], labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The indices that stay and those held out, both ascending, int64: whole groups, about share of every class.

    Of every class a group stays, and one is held out if one can be spared: what would take all of a class away stays.
    """
    members, counts = counted(groups, labels)
    part = _placed(counts, [1 - share, share], may_take_all=[True, False])
    _fill(part, counts, share)
    _even(part, counts, share)
    out = torch.from_numpy(part == 1)[members]
    return (~out).nonzero().flatten(), out.nonzero().flatten()


def fold_of_groups(groups: Sequence[str], labels: Tensor, folds: int) -> Tensor:
    """(N,) int64: the fold, from 0 to folds - 1, that each sample's group validates in.

    -1 for a group that any fold would have to hold all of some class with: it always trains.
    """
    members, counts = counted(groups, labels)
    return torch.from_numpy(_placed(counts, [1 / folds] * folds, may_take_all=[False] * folds))[members]


def counted(groups: Sequence[str], labels: Tensor) -> tuple[Tensor, Counts]:
    """(N,) int64, each sample's group by number; and (G, K), how many samples each has of every class, and in all.

    Only classes that there are have a column. Groups are numbered as they are to be placed: the larger their shares of
    the classes, the sooner, for what comes later can make up for them; equal ones by their names' hashes.
    """
    names = sorted(set(groups), key=lambda name: (seed_of("groups", name), name))
    number_of = {name: number for number, name in enumerate(names)}
    members = np.array([number_of[name] for name in groups], dtype=np.int64)
    rows, classes = (each.numpy() for each in _marks(labels))
    present, columns = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(names), len(present) + 1), dtype=np.int64)
    np.add.at(counts, (members[rows], columns), 1)
    np.add.at(counts[:, -1], members, 1)
    order = np.argsort(-((counts / counts.sum(0)) ** 2).sum(1), kind="stable")
    return torch.from_numpy(np.argsort(order)[members]), counts[order]


def can_be_held_out(groups: Sequence[str], labels: Tensor) -> bool:
    """Whether there is a group that holds no class as a whole."""
    _, counts = counted(groups, labels)
    return not bool((counts == counts.sum(0)).any(1).all())


def unjudged(classes: Sequence[str], train: Samples, val: Samples) -> list[str]:
    """The line on the classes that groups, as they stay whole, keep out of the part that validates."""
    trained, validated = ({*_marks(part.labels)[1].tolist()} for part in (train, val))
    names = [name for label, name in enumerate(classes) if label in trained - validated]
    count = f"{len(names)} of {len(classes)}"
    line = (
        f"Validation tells nothing of some classes, since groups stay whole and theirs train: {some(names)} ({count})."
    )
    return [line] if names else []


def in_words(source: Source) -> list[str]:
    """A line on the groups, and one for each two parts that share some; none where nothing was said of groups."""
    parts = {"training": source.train, "validation": source.val, "test": source.test}
    found = {part: Counter(each.groups) for part, each in parts.items() if each is not None and each.groups is not None}
    if not found:
        return []
    sizes = sum(found.values(), Counter[str]()).values()
    span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    where = ", ".join(f"{len(groups):,} in {part}" for part, groups in found.items())
    each = f"group, of {span} images" if len(sizes) == 1 else f"groups, of {span} images each"
    lines = [f"{len(sizes):,} {each}; {where}."]
    every = [each for each in parts.values() if each is not None and each.groups is not None]
    if _are_classes([name for each in every for name in each.groups or ()], torch.cat([each.labels for each in every])):
        return [*lines, f"The groups are the classes themselves, and so keep nothing apart. {_SMALLER}"]
    for one, other in combinations(found, 2):
        if both := sorted(found[one].keys() & found[other].keys()):
            lines.append(
                f"In both {one} and {other}: {len(both):,} of the {len(found[other]):,} {other} groups, which flatters "
                f"the {other} scores: {some(both)}"
            )
    return lines


def refusal(groups: Sequence[str], labels: Tensor) -> str:
    """Why none of the groups can be held out, and what to do."""
    names = sorted(set(groups))
    if names[1:] and _are_classes(groups, labels):
        return f"data.group: no group can be held out, for they are the classes themselves ({some(names)}). {_SMALLER}"
    each = f"each of the {len(names):,} ({some(names)}) holds all training images of a class"
    return (
        f"data.group: no group can be held out, for {each if names[1:] else f'all training images are of {names[0]}'}. "
        "Say what tells smaller groups apart, or leave data.group out."
    )


def _are_classes(groups: Sequence[str], labels: Tensor) -> bool:
    """Whether each class is one group, and each group of one class, so that groups say what labels do."""
    if labels.dim() == 2:
        return False
    held = counted(groups, labels)[1][:, :-1] > 0
    return bool((held.sum(0) == 1).all() and (held.sum(1) == 1).all())


def _marks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(sample, class) of every label that counts, both (M,) int64."""
    if labels.dim() == 2:
        rows, classes = (labels == 1).nonzero(as_tuple=True)
        return rows, classes
    rows = (labels >= 0).nonzero().flatten()
    return rows, labels[rows]


def _placed(counts: Counts, shares: Sequence[float], may_take_all: Sequence[bool]) -> Counts:
    """(G,): the part that each group comes to, one after the other; -1 where none may take it.

    Each goes where the parts' shares, of every class and in all, stay nearest to those asked for: as in scikit-learn's
    StratifiedGroupKFold (after Wasikowski, kaggle.com/jakubwasikowski/stratified-group-k-fold-cross-validation), but
    with squares, which need one sum a part: where part b has r_b more than its share s_b of all that is placed, a group
    g adds 2 g·(r_b - s_b g) to their sum, and what is the same for every b.
    may_take_all: whether a part may come to hold all that there is of a class.
    """
    total, wanted, may = counts.sum(0), np.array(shares)[:, None], np.array(may_take_all)
    part = np.full(len(counts), -1, dtype=np.int64)
    held = np.zeros((len(shares), counts.shape[1]), dtype=np.int64)
    more = np.zeros(held.shape)
    for number, (count, weight) in enumerate(zip(counts, counts / total, strict=True)):
        cost = ((more - wanted * weight) * weight).sum(1)  # no matrix product, whose bits differ between machines
        cost[(held + count == total).any(1) & ~may] = np.inf
        best = int(cost.argmin())
        if cost[best] < np.inf:
            part[number] = best
            held[best] += count
            more -= wanted * weight
            more[best] += weight
    return part


def _fill(part: Counts, counts: Counts, share: float) -> None:
    """Moves groups from part 0 to part 1, until that has of every class of which part 0 can spare a group.

    The last column, of all images, is such a class too. Each time one of those with the most such classes, and of them
    the one after which the shares are nearest to share.
    """
    total, held = counts.sum(0), counts[part == 1].sum(0)
    while (held == 0).any():
        gains = (counts[:, held == 0] > 0).sum(1)
        gains[(part == 1) | (held + counts == total).any(1)] = 0
        if not gains.any():
            return
        rows = np.flatnonzero(gains == gains.max())
        then = held + counts[rows]
        best = ((then / total - share) ** 2).sum(1).argmin()
        part[rows[best]], held = 1, then[best]


def _even(part: Counts, counts: Counts, share: float) -> None:
    """Lets one group at a time change its part, 0 or 1: the one after which the shares are nearest to share.

    None leaves a part without a class that it has. It ends where no change saves a hundredth of the sum of squares.
    """
    total, held = counts.sum(0), counts[part == 1].sum(0)
    weights = counts / total
    squares = (weights**2).sum(1)
    changed = True
    while changed:
        changed, side, beyond = False, 1 - 2 * part, held / total - share
        added = 2 * side * (beyond * weights).sum(1) + squares
        saving = added < -_WORTH_A_CHANGE * (beyond**2).sum()
        for number in np.argsort(added, kind="stable")[: saving.sum()]:
            then = held + side[number] * counts[number]
            if not ((then == total) | (then == 0) & (held > 0)).any():
                part[number], held, changed = 1 - part[number], then, True
                break
