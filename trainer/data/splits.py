"""Stratified, repeatable choices: which samples validate, and which remain under a limit.

A choice depends on keys and labels alone, never on the order of a listing or on the run's seed: what was held out
once is held out whenever the same set is read, and never trained on.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainer.data.groups import fold_of_groups, groups_held_out, refusal
from trainer.data.source import Samples, Subset, images_of_each
from trainer.data.stratify import divided
from trainer.errors import DataError
from trainer.system.exact import exact


def held_out(keys: Sequence[str], labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The indices that stay and those held out, both ascending, int64.

    A class of n gives n * share, to the nearest whole number and of a half to the even one, at least 1 and at most
    n - 1; a class of one image gives none. labels: as Samples has them; of several, each gives about as many.
    """
    order = _hash_order(keys, "held out")
    if labels.ndim == 2:
        quotas = [_quota(count, share) for count in images_of_each(labels, labels.shape[1]).tolist()]
        taken = _divided(labels, order, quotas, _quota(len(labels), share))
        return (taken == 0).nonzero().flatten(), taken.nonzero().flatten()
    ranks, counts = _ranks(labels, order)
    sizes, size_of = torch.unique(counts, return_inverse=True)
    quota_of_size = torch.tensor([_quota(size, share) for size in sizes.tolist()])
    out = ranks < quota_of_size[size_of]
    return (~out).nonzero().flatten(), out.nonzero().flatten()


def fold_of(keys: Sequence[str], labels: Tensor, folds: int) -> Tensor:
    """(N,) int64: the fold, from 0 to folds - 1, that each sample validates in; -1 for the only one of its class.

    The folds are as equal as can be, altogether and in every class: no two differ by more than one. Were the only
    sample of a class to validate, nothing would train for it. labels: as Samples has them; of several, every label is
    divided as evenly as that of the others allows.
    """
    order = _hash_order(keys, "folds")
    if labels.ndim == 2:
        return _folds_of_several(labels, order, folds)
    _, members, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    grouped = order[torch.argsort(members[order], stable=True)]  # class by class, each in the order of its hashes
    grouped = grouped[sizes[members[grouped]] > 1]
    result = torch.full_like(order, -1)
    result[grouped] = torch.arange(len(grouped)) % folds
    return result


def share_of(samples: Samples, share: float) -> tuple[Tensor, Tensor]:
    """(those that stay, those held out), as held_out says, and of samples with groups as groups_held_out does."""
    if samples.groups is None:
        return held_out(samples.keys, samples.labels, share)
    return groups_held_out(samples.groups, samples.labels, share)


def limit(samples: Samples, count: int, setting: str, everything: str = "null") -> Samples:
    """A stratified subset of count samples, in their order: each class in its proportion, none left out if all fit.

    setting: the user's word for the limit, and everything its value for none. Raises DataError with both if there are
    fewer samples than that.
    """
    if count > len(samples):
        raise DataError(
            f"{setting}={count}: there are only {len(samples)} images. Give at most {len(samples)}, or {everything}."
        )
    if count == len(samples):
        return samples
    order = _hash_order(samples.keys, "limit")
    if samples.labels.ndim == 2:
        wanted = images_of_each(samples.labels, samples.labels.shape[1]) * (count / len(samples))
        chosen = _divided(samples.labels, order, wanted.tolist(), count) == 1
        return Subset(samples, chosen.nonzero().flatten())
    ranks, counts = _ranks(samples.labels, order)
    parts_taken = (ranks / counts)[order]  # how much of its class is taken when the sample is: 0 for the first of each
    chosen = order[torch.argsort(parts_taken, stable=True)[:count]]
    return Subset(samples, chosen.sort().values)


def validate_on(
    val: float | Literal["test"], train: Samples, test: Samples | None
) -> tuple[Samples, Samples, Samples | None, str]:
    """(train, val, test) of a set without a validation part, and the note that says what validates.

    val: the share of train to hold out, or 'test': the test part validates, and nothing is left to test on.
    Raises DataError if there is no test part, or nothing to share: no class of two images, no group but holds a class.
    """
    if val == "test":
        if test is None:
            raise DataError("data.val=test: this set has no test part. Give a share of the training part: data.val=0.1")
        return train, test, None, "Validated on the test part (data.val=test): no independent test result."
    stay, out = share_of(train, float(val))
    if not len(out):
        alone = f"data.val={val}: no class has more than one image, so none can be held out."
        raise DataError(alone if train.groups is None else refusal(train.groups, train.labels))
    note = (
        f"Held out {len(out):,} of {len(train):,} training images for validation (data.val={val}, the same every time)."
    )
    return Subset(train, stay), Subset(train, out), test, note


def cross_validate(folds: int, fold: int, train: Samples) -> tuple[Samples, Samples, str]:
    """(train, val) where one fold of train validates and the others are trained on, and the note that says so.

    Raises DataError if there are fewer samples to divide than folds.
    """
    groups = train.groups
    if groups is None:
        fold_by_sample = fold_of(train.keys, train.labels, folds)
        divided = int((fold_by_sample >= 0).sum())
        kind = "training images" if divided == len(train) else "training images that are not alone in their class"
    else:
        fold_by_sample = fold_of_groups(groups, train.labels, folds)
        divided = len({groups[place] for place in (fold_by_sample >= 0).nonzero().flatten().tolist()})
        kind = "groups" if divided == len(set(groups)) else "groups that hold no class as a whole"
    if divided < folds:
        raise DataError(f"data.folds={folds}: there are only {divided} {kind}. Give at most as many folds.")
    chosen = fold_by_sample == fold
    stay, out = (~chosen).nonzero().flatten(), chosen.nonzero().flatten()
    note = f"Fold {fold} of {folds} validates: {len(out):,} of {len(train):,} training images (the same every time)."
    return Subset(train, stay), Subset(train, out), note


def _quota(count: int, share: float) -> int:
    """How many of so many are held out."""
    return max(0, min(max(round(exact(share) * count), 1), count - 1))


def _divided(labels: Tensor, order: Tensor, wanted: Sequence[float], count: int) -> Tensor:
    """(N,) int64: 1 for the count images, of each label as many as wanted, that are taken; 0 for those that stay.

    labels: (N, C).
    """
    has = (labels > 0).numpy()
    quotas = np.stack([has.sum(axis=0) - np.array(wanted), np.array(wanted)])
    return torch.from_numpy(divided(has, order.numpy(), quotas, np.array([len(labels) - count, count])))


def _folds_of_several(labels: Tensor, order: Tensor, folds: int) -> Tensor:
    """As fold_of, of labels (N, C); -1 for an image that is the only one with one of its labels."""
    has = (labels > 0).numpy()
    shared = np.logical_not(has[:, has.sum(axis=0) == 1].any(axis=1))
    count = int(shared.sum())
    sizes = np.array([count // folds + (fold < count % folds) for fold in range(folds)])
    quotas = np.tile(has[shared].sum(axis=0) / folds, (folds, 1))
    places = np.flatnonzero(shared)
    within = np.cumsum(shared) - 1  # the places among those that are divided
    ranked = within[[index for index in order.tolist() if shared[index]]]
    result = np.full(len(labels), -1, dtype=np.int64)
    result[places] = divided(has[shared], ranked, quotas, sizes)
    return torch.from_numpy(result)


def _hash_order(keys: Sequence[str], purpose: str) -> Tensor:
    """(N,) int64: the indices in the order of their keys' hashes."""
    hashes = [
        (hashlib.sha256(f"{purpose}\0{key}".encode(errors="surrogateescape")).digest(), index)
        for index, key in enumerate(keys)
    ]
    return torch.tensor([index for _, index in sorted(hashes)], dtype=torch.int64)


def _ranks(labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Each sample's place among its class in the order given, and the size of its class; both (N,) int64."""
    _, members, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    grouped = order[torch.argsort(members[order], stable=True)]  # class by class, each in the order given
    starts = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(order)
    ranks[grouped] = torch.arange(len(order)) - starts[members[grouped]]
    return ranks, sizes[members]
