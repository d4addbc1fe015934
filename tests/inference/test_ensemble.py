"""Classes go by their names: in ensembles, and where a set has others than the run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import ConfigError
from trainer.inference.classes import match_classes
from trainer.inference.ensemble import ensemble

CLASSES = ("cat", "dog", "hen")


def test_the_mean_of_members_in_another_order_by_hand():
    whole = ensemble([("outputs/a", CLASSES), ("outputs/b", ("hen", "cat", "dog"))])
    assert whole.classes == CLASSES
    first, second = np.array([[0.5, 0.3, 0.2]]), np.array([[0.6, 0.3, 0.1]])
    np.testing.assert_allclose(whole.mean([first, second]), [[0.4, 0.2, 0.4]])
    np.testing.assert_allclose(first, [[0.5, 0.3, 0.2]])  # what came in is left as it was


@given(st.permutations(range(5)), st.permutations(range(5)), st.integers(0, 2**32 - 1))
def test_the_order_of_the_classes_of_a_member_does_not_matter(one, other, seed):
    generator = np.random.default_rng(seed)
    names = [f"class {number}" for number in range(5)]
    members = [generator.random((7, 5)) for _ in range(3)]
    orders = [list(range(5)), one, other]
    whole = ensemble([(str(n), [names[place] for place in order]) for n, order in enumerate(orders)])
    mixed = whole.mean([member[:, order] for member, order in zip(members, orders, strict=True)])
    np.testing.assert_allclose(mixed, sum(members) / 3)


def test_an_ensemble_of_one_is_that_one():
    probabilities = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    mean = ensemble([("outputs/a", CLASSES)]).mean([probabilities])
    assert mean.dtype == np.float64
    np.testing.assert_array_equal(mean, probabilities)


def test_each_member_with_other_classes_is_refused_with_their_names():
    members = [("outputs/a", CLASSES), ("outputs/b", ("cat", "dog", "mouse")), ("outputs/c", ("cat", "dog"))]
    with pytest.raises(ConfigError) as raised:
        ensemble([*members, ("outputs/d", (*CLASSES, "owl"))])
    end = (
        " Members know the same classes, by name and in any order: "
        "leave it out, or train it on the classes of outputs/a."
    )
    assert str(raised.value).splitlines() == [
        "outputs/b cannot be in an ensemble with outputs/a: it does not know hen and only it knows mouse." + end,
        "outputs/c cannot be in an ensemble with outputs/a: it does not know hen." + end,
        "outputs/d cannot be in an ensemble with outputs/a: only it knows owl." + end,
    ]


def test_a_member_with_a_thousand_other_classes_is_told_in_one_line():
    names = [f"class {number}" for number in range(1000)]
    with pytest.raises(ConfigError, match=r"class 9 and 990 more and only it knows cat, dog, hen\."):
        ensemble([("outputs/a", names), ("outputs/b", CLASSES)])


def test_the_classes_of_a_set_are_found_among_those_of_a_run():
    match = match_classes(["ant", "dog", "cat"], CLASSES)
    assert match.places.tolist() == [-1, 1, 0]
    assert (match.unknown, match.missing) == (("ant",), ("hen",))
    assert match.labels(np.array([0, 1, 2, -1, 1])).tolist() == [-1, 1, 0, -1, 1]


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
)
def test_a_label_keeps_its_name_or_is_none(classes, known):
    match = match_classes(classes, known)
    labels = np.arange(-1, len(classes))
    for before, after in zip(labels.tolist(), match.labels(labels).tolist(), strict=True):
        if before >= 0 and classes[before] in known:
            assert known[after] == classes[before]
        else:
            assert after == -1
    assert set(match.unknown) == set(classes) - set(known)
    assert set(match.missing) == set(known) - set(classes)
