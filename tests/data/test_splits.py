"""Splits, limits and fingerprints: functions of keys and labels, and of nothing else."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.fingerprint import fingerprint
from trainer.data.source import ArraySamples, Source, Subset
from trainer.data.splits import held_out, limit, validate_on
from trainer.errors import DataError

SHARES = st.one_of(st.floats(0.01, 0.99), st.integers(1, 999).map(lambda number: number / 1000))


def samples(counts: list[int]) -> ArraySamples:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return ArraySamples(pixels, labels, [f"{index}.png" for index in range(len(labels))])


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), SHARES)
def test_each_class_gives_its_rounded_share_but_never_all(counts: list[int], share: float) -> None:
    whole = samples(counts)
    stay, out = held_out(whole.keys, whole.labels, share)
    assert sorted([*stay.tolist(), *out.tolist()]) == list(range(len(whole)))
    taken = Counter(whole.labels[out].tolist())
    for label, count in enumerate(counts):
        assert taken[label] == min(max(round(count * Fraction(str(share))), 1), count - 1)


@pytest.mark.parametrize(("count", "share", "taken"), [(50, 0.59, 30), (60, 0.525, 32), (95, 0.3, 28), (100, 0.3, 30)])
def test_a_half_is_a_half_and_goes_to_the_even_number(count: int, share: float, taken: int) -> None:
    whole = samples([count])
    assert len(held_out(whole.keys, whole.labels, share)[1]) == taken


@given(st.permutations(range(30)))
def test_the_order_of_the_listing_does_not_matter(order: list[int]) -> None:
    whole = samples([10, 20])
    _, out = held_out(whole.keys, whole.labels, 0.2)
    shuffled = Subset(whole, torch.tensor(order))
    _, again = held_out(shuffled.keys, shuffled.labels, 0.2)
    assert {whole.keys[i] for i in out.tolist()} == {shuffled.keys[i] for i in again.tolist()}


def test_what_is_held_out_is_no_run_of_neighbours() -> None:
    whole = samples([100])
    _, out = held_out(whole.keys, whole.labels, 0.1)
    assert out.max() - out.min() > 30


def test_names_that_are_not_utf8_can_be_split() -> None:
    _, out = held_out(["a\udcff.png", "b.png"], torch.zeros(2, dtype=torch.int64), 0.5)
    assert len(out) == 1


@given(st.integers(3, 60))
def test_limit_keeps_every_class_and_its_proportion(count: int) -> None:
    whole = samples([40, 16, 4])
    few = limit(whole, count, "limit_train")
    assert len(few) == count
    kept = Counter(few.labels.tolist())
    for label, size in enumerate([40, 16, 4]):
        assert kept[label] >= 1 and abs(kept[label] - count * size / 60) <= 1.5


def test_limit_is_repeatable_and_keeps_the_order() -> None:
    keys = limit(samples([20, 20]), 10, "limit_train").keys
    assert keys == limit(samples([20, 20]), 10, "limit_train").keys
    assert [int(key[:-4]) for key in keys] == sorted(int(key[:-4]) for key in keys)


def test_limit_above_the_size_is_refused() -> None:
    with pytest.raises(DataError, match="limit_val=7: there are only 6 images"):
        limit(samples([3, 3]), 7, "limit_val")


def test_val_test_validates_on_the_test_part_and_says_so() -> None:
    train, test = samples([5, 5]), samples([2, 2])
    kept, val, rest, note = validate_on("test", train, test)
    assert kept is train and val is test and rest is None and "no independent test" in note
    with pytest.raises(DataError, match="no test part"):
        validate_on("test", train, None)


def test_held_out_images_are_not_trained_on() -> None:
    train, val, test, note = validate_on(0.2, samples([10, 10]), None)
    assert not set(train.keys) & set(val.keys) and len(val) == 4 and test is None and "4 of 20" in note


def test_single_image_classes_have_nothing_to_hold_out() -> None:
    with pytest.raises(DataError, match="no class has more than one image"):
        validate_on(0.5, samples([1, 1]), None)


def test_fingerprint_sees_every_change() -> None:
    whole = samples([4, 4])
    changed = replace(whole, pixels=whole.pixels + (torch.arange(8) == 5).to(torch.uint8)[:, None, None, None])
    relabelled = replace(whole, labels=whole.labels.flip(0))
    renamed = replace(whole, keys=["x", *whole.keys[1:]])
    base = Source(("a", "b"), whole, whole, None, 2)
    others = [
        replace(base, classes=("b", "a")),
        replace(base, val=Subset(whole, torch.arange(3))),
        replace(base, test=whole),
        *[replace(base, train=part) for part in (changed, relabelled, renamed)],
    ]
    assert fingerprint(base) == fingerprint(Source(("a", "b"), samples([4, 4]), samples([4, 4]), None, 2))
    assert len({fingerprint(each) for each in [base, *others]}) == 7
