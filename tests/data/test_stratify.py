"""Pictures with several labels each, divided: every label as frequent in each subset as in the whole."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.source import ArraySamples
from trainer.data.splits import fold_of, held_out, limit


def samples(count: int, seed: int) -> ArraySamples:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.02, 0.6, 5)
    labels = torch.from_numpy((rng.random((count, 5)) < shares).astype(np.int8))
    return ArraySamples(
        torch.zeros(count, 1, 2, 2, dtype=torch.uint8), labels, [f"{index}.png" for index in range(count)]
    )


@given(st.integers(2, 120), st.integers(0, 10_000), st.floats(0.05, 0.6))
def test_every_label_gives_about_its_share_and_one_that_several_have_is_in_both(
    count: int, seed: int, share: float
) -> None:
    whole = samples(count, seed)
    stay, out = held_out(whole.keys, whole.labels, share)
    assert sorted([*stay.tolist(), *out.tolist()]) == list(range(count))
    assert len(out) == min(max(round(share * count), 1), count - 1)
    for had, taken in zip(whole.labels.sum(0).tolist(), whole.labels[out].sum(0).tolist(), strict=True):
        assert abs(taken - had * share) <= 5


def test_the_shares_of_labels_are_nearer_than_those_of_a_split_by_chance() -> None:
    whole, ours, chance = samples(2000, 1), [], []
    _, out = held_out(whole.keys, whole.labels, 0.1)
    wanted = whole.labels.double().mean(0)
    ours.append((whole.labels[out].double().mean(0) - wanted).abs().max())
    for seed in range(20):
        rows = torch.from_numpy(np.random.default_rng(seed).permutation(2000)[:200])
        chance.append((whole.labels[rows].double().mean(0) - wanted).abs().max())
    assert max(ours) < min(chance) / 2


@given(st.integers(12, 120), st.integers(0, 10_000), st.integers(2, 5))
def test_folds_are_as_equal_as_can_be_and_share_every_label(count: int, seed: int, folds: int) -> None:
    whole = samples(count, seed)
    fold = fold_of(whole.keys, whole.labels, folds)
    alone = whole.labels[:, whole.labels.sum(0) == 1].any(1)
    assert torch.equal(fold < 0, alone)
    sizes = torch.bincount(fold[fold >= 0], minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for column in whole.labels.T:
        counts = torch.bincount(fold[(column > 0) & (fold >= 0)], minlength=folds)
        assert counts.max() - counts.min() <= 8


@given(st.integers(2, 60), st.integers(0, 10_000))
def test_a_division_depends_on_keys_and_labels_alone(count: int, seed: int) -> None:
    whole, order = samples(count, seed), torch.from_numpy(np.random.default_rng(seed).permutation(count))
    shuffled = ArraySamples(whole.pixels, whole.labels[order], [whole.keys[index] for index in order.tolist()])
    _, out = held_out(whole.keys, whole.labels, 0.3)
    _, other = held_out(shuffled.keys, shuffled.labels, 0.3)
    assert {whole.keys[index] for index in out.tolist()} == {shuffled.keys[index] for index in other.tolist()}


@given(st.integers(3, 60), st.integers(0, 10_000))
def test_a_limit_takes_as_many_as_it_says(count: int, seed: int) -> None:
    assert len(limit(samples(count, seed), count // 2 or 1, "limit_train")) == (count // 2 or 1)
