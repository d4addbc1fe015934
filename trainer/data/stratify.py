"""Pictures with several labels each, divided so that every label is as frequent in each subset as in the whole."""

import numpy as np
from numpy.typing import NDArray


def divided(
    labels: NDArray[np.bool_], order: NDArray[np.int64], quotas: NDArray[np.float64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,): the subset of each picture. Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1).

    labels: (N, C), whether the picture has the label. order: (N,), in which pictures are taken. quotas: (K, C), how
    many pictures with each label a subset is to have; sizes: (K,), how many it has in all: exactly so many. The label
    that the fewest remaining pictures have is divided first, each of its pictures to the subset that lacks most of it,
    of equals to the one that lacks most pictures.
    """
    assert sizes.sum() == len(labels)
    quotas, room = quotas.copy(), sizes.copy()
    result = np.full(len(labels), -1, dtype=np.int64)
    left = labels.sum(axis=0)
    ranked = labels[order]

    def give(picture: int, wanted: NDArray[np.float64]) -> None:
        nonlocal left
        open_to = np.flatnonzero(room)
        most = open_to[wanted[open_to] == wanted[open_to].max()]
        subset = most[room[most].argmax()]
        result[picture] = subset
        room[subset] -= 1
        has = labels[picture]
        quotas[subset] -= has
        left = left - has

    while left.any():
        rarest = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
        for picture in order[ranked[:, rarest]].tolist():
            if result[picture] < 0:
                give(picture, quotas[:, rarest])
    none = np.zeros(len(sizes))
    for picture in order[result[order] < 0].tolist():
        give(picture, none)
    return result
