"""Whether a difference is more than noise, against sums of binomial coefficients and by simulation."""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.inference.comparison import differences, disagreements


def runs(both, only_first, only_second, neither):
    """Two runs that are right on so many images together and alone."""
    kinds = [(True, True)] * both + [(True, False)] * only_first + [(False, True)] * only_second
    first, second = np.array(kinds + [(False, False)] * neither).T
    return {"outputs/a": first, "outputs/b": second}


@settings(deadline=None)  # scipy is imported on the way
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 50))
def test_the_p_value_is_the_sum_of_binomial_coefficients(only_first, only_second, both):
    (result,) = differences(runs(both, only_first, only_second, 0))
    coins, fewer = only_first + only_second, min(only_first, only_second)
    tail = Fraction(sum(comb(coins, heads) for heads in range(fewer + 1)), 2**coins)
    assert result.p_value == pytest.approx(float(min(2 * tail, Fraction(1))))
    assert result.more_than_noise == (min(2 * tail, 1) < Fraction(1, 20))
    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.accuracy == pytest.approx((only_first - only_second) / (both + coins))


def test_the_p_value_by_hand():
    (result,) = differences(runs(10, 5, 0, 1))
    assert result.p_value == pytest.approx(2 / 2**5)  # five tosses alike
    (result,) = differences(runs(10, 6, 0, 1))
    assert result.p_value == pytest.approx(2 / 2**6) and result.more_than_noise


def test_the_interval_is_that_of_the_normal_distribution_where_there_are_many_images():
    (result,) = differences(runs(8000, 700, 600, 700))
    mean = 100 / 10_000
    half = 1.96 * sqrt((1300 / 10_000 - mean**2) / 10_000)
    assert result.interval == pytest.approx((mean - half, mean + half), abs=0.05 * half)


def test_pairing_sees_a_difference_that_the_two_accuracies_alone_would_hide():
    (result,) = differences(runs(500, 20, 4, 476))
    assert result.interval[0] > 0 and result.more_than_noise
    unpaired = 1.96 * sqrt(2 * 0.25 / 1000)
    assert result.accuracy < unpaired


def test_the_outcome_is_told_in_words():
    (one,) = differences(runs(500, 20, 4, 476))
    assert one.sentence == (
        "outputs/a is 1.60 points of accuracy above outputs/b (95% interval 0.70 to 2.60, 1,000 images): "
        "the difference is more than noise (McNemar's test, p = 0.002)."
    )
    (other,) = differences(runs(500, 4, 7, 489))
    assert other.sentence == (
        "outputs/b is 0.30 points of accuracy above outputs/a (95% interval -0.30 to 1.00, 1,000 images): "
        "the difference is not more than noise (McNemar's test, p = 0.549)."
    )
    (clear,) = differences(runs(500, 90, 4, 406))
    assert "p < 0.001" in clear.sentence


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30))
def test_no_interval_is_told_that_denies_what_the_test_says(only_first, only_second, both):
    (result,) = differences(runs(both, only_first, only_second, 1))
    if only_first != only_second and result.interval[0] * result.interval[1] > 0:
        assert (
            ("95% interval" in result.sentence) == ("is more than noise" in result.sentence) == result.more_than_noise
        )


def test_of_few_images_it_is_told_that_they_are_too_few():
    (one,) = differences(runs(4, 0, 3, 0))
    assert one.interval[1] < 0
    assert one.sentence == (
        "outputs/b is 42.86 points of accuracy above outputs/a, on 7 images: too few to tell that from noise "
        "(McNemar's test, p = 0.250)."
    )


def test_runs_that_are_right_equally_often_are_told_so():
    (same,) = differences(runs(9, 0, 0, 1))
    assert same.sentence == "outputs/a and outputs/b are right on equally many of 10 images, on the same ones."
    (other,) = differences(runs(6, 2, 2, 0))
    assert other.sentence == (
        "outputs/a and outputs/b are right on equally many of 10 images, each on 2 that the other gets wrong."
    )
    assert same.p_value == other.p_value == 1.0
    assert not same.more_than_noise and not other.more_than_noise


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_three_runs_make_three_pairs_whose_p_values_are_those_of_holm(seed):
    generator = np.random.default_rng(seed)
    right = {name: generator.random(60) < share for name, share in (("a", 0.8), ("b", 0.65), ("c", 0.6))}
    pairs = differences(right)
    assert [(each.first, each.second) for each in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = [differences({each.first: right[each.first], each.second: right[each.second]})[0].p_value for each in pairs]
    least, middle, most = sorted(alone)
    expected = {most: max(3 * least, 2 * middle, most), middle: max(3 * least, 2 * middle), least: 3 * least}
    assert [each.p_value for each in pairs] == pytest.approx([min(1.0, expected[each]) for each in alone])


@pytest.mark.slow
def test_of_twenty_equal_runs_none_is_told_to_be_better():
    """Control: of their 190 pairs, some are more than noise if each is looked at as if it were the only one."""
    generator = np.random.default_rng(5)
    hardness = generator.random(300)
    right = {f"run {number}": generator.random(300) > hardness for number in range(20)}
    pairs = differences(right)
    assert len(pairs) == 190 and not any(each.more_than_noise for each in pairs)
    alone = [differences({name: right[name] for name in (each.first, each.second)})[0] for each in pairs]
    assert sum(each.more_than_noise for each in alone) > 5


def test_the_images_on_which_runs_disagree():
    answers = {"a": np.array([0, 1, 2, 1]), "b": np.array([0, 1, 1, 1]), "c": np.array([0, 2, 1, 1])}
    assert disagreements(answers).tolist() == [1, 2]
    assert disagreements({"a": answers["a"], "b": answers["b"]}).tolist() == [2]
    assert disagreements({"a": answers["a"]}).tolist() == []


def test_the_interval_is_a_function_of_the_seed():
    right = runs(50_000, 2000, 1400, 47_000)
    assert differences(right, seed=1) == differences(right, seed=1)
    assert differences(right, seed=1)[0].interval != differences(right, seed=2)[0].interval
