"""Scores of several labels a picture, against scikit-learn and loops, which share no code with them."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_score, recall_score

from trainer.errors import DataError, TrainerError
from trainer.inference.multi.ranking import resampled_map
from trainer.inference.multi.scoring import losses_of, score
from trainer.inference.resampling import draws
from trainer.task.ranking import mean_average_precision

NAMES = ["ants", "bees", "wasps", "flies"]
SIZES = st.tuples(st.integers(1, 25), st.integers(1, 4))
KNOWN = arrays(np.int8, SIZES, elements=st.sampled_from([0, 1]))
SOME = arrays(np.int8, SIZES, elements=st.sampled_from([-1, 0, 1])).filter(lambda labels: bool((labels >= 0).any()))
KEYS = "map micro_f1 macro_f1 exact_match loss nll brier ece images per_class classes thresholds intervals task"


def given_for(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, many of them equal, and thresholds."""
    generator = np.random.default_rng(labels.size)
    return generator.integers(0, 9, labels.shape) / 8, generator.integers(1, 8, labels.shape[1]) / 8


def scored(labels: np.ndarray, **more: Any) -> Any:
    probabilities, thresholds = given_for(labels)
    return score(probabilities, labels, NAMES[: labels.shape[1]], thresholds, **more)


def drawn(count: int, clearness: float, share: float, seed: int, num_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are higher by the clearness, in standard deviations of their logits, where the label is."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, num_labels)) < share).astype(np.int8)
    return 1 / (1 + np.exp(-generator.normal(size=labels.shape) - clearness * labels)), labels


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(KNOWN)
def test_all_scores_are_those_of_scikit_learn(labels: np.ndarray) -> None:
    probabilities, thresholds = given_for(labels)
    found, said = scored(labels), (probabilities >= thresholds).astype(int)
    shown = labels.any(axis=0)
    precisions = [average_precision_score(labels[:, place], probabilities[:, place]) for place in np.flatnonzero(shown)]
    assert found.map == (pytest.approx(np.mean(precisions)) if len(precisions) else None)
    assert found.exact_match == pytest.approx(accuracy_score(labels, said))
    micro, macro = found.micro_f1, found.macro_f1
    if (labels | said).any():
        kept = (labels | said).any(axis=0)  # what is never there and never said has no F1
        assert micro == pytest.approx(f1_score(labels.ravel(), said.ravel()))
        assert macro == pytest.approx(
            np.mean([f1_score(labels[:, place], said[:, place]) for place in np.flatnonzero(kept)])
        )
    else:
        assert micro is macro is None
    for place, each in enumerate(found.per_class):
        assert each.support == labels[:, place].sum() and each.threshold == thresholds[place]
        for value, function in ((each.precision, precision_score), (each.recall, recall_score), (each.f1, f1_score)):
            wanted = function(labels[:, place], said[:, place], zero_division=np.nan)
            assert (value is None and np.isnan(wanted)) or value == pytest.approx(wanted)


@settings(max_examples=40, deadline=None)
@given(SOME)
def test_what_is_unknown_counts_nowhere(labels: np.ndarray) -> None:
    """Against loops over images and labels."""
    probabilities, thresholds = given_for(labels)
    found = scored(labels)
    pairs = [
        (image, p, y, p >= threshold)
        for image, (row, truth) in enumerate(zip(probabilities.tolist(), labels.tolist(), strict=True))
        for p, y, threshold in zip(row, truth, thresholds.tolist(), strict=True)
        if y >= 0
    ]
    images = {image for image, *_ in pairs}
    wrong = {image for image, _, y, said in pairs if said != bool(y)}
    assert found.images == len(images) and found.exact_match == pytest.approx(1 - len(wrong) / len(images))
    surprises = [-math.log(max(p if y else 1 - p, np.finfo(float).tiny)) for _, p, y, _ in pairs]
    assert found.nll == pytest.approx(np.mean(surprises))
    assert found.brier == pytest.approx(np.mean([(p - y) ** 2 for _, p, y, _ in pairs]))
    hits = sum(y == 1 and said for _, _, y, said in pairs)
    counted = sum(y == 1 for _, _, y, _ in pairs) + sum(said for *_, said in pairs)
    assert found.micro_f1 == (pytest.approx(2 * hits / counted) if counted else None)
    assert sum(each.images for each in found.reliability.bins) == len(pairs)
    losses = losses_of(probabilities, labels)
    for image in range(len(labels)):
        own = [surprise for surprise, (other, *_) in zip(surprises, pairs, strict=True) if other == image]
        assert losses[image] == pytest.approx(np.mean(own) if own else 0.0)


@settings(max_examples=30, deadline=None)
@given(SOME)
def test_json_can_say_every_evaluation_and_intervals_stay_in_range(labels: np.ndarray) -> None:
    plain = scored(labels, loss=0.5).plain()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain and set(plain) == set(KEYS.split())
    for name, (low, high) in plain["intervals"].items():
        assert 0 <= low <= high and (high <= 1 or name == "nll")


def test_probabilities_that_mean_what_they_say_have_no_calibration_error() -> None:
    labels = np.repeat(np.array([[1, 0]], dtype=np.int8), 20, axis=0)
    labels[:5] = [0, 1]
    result = score(np.tile([0.75, 0.25], (20, 1)), labels, NAMES[:2], np.array([0.5, 0.5]))
    assert result.reliability.error == pytest.approx(0)
    assert score(np.tile([0.95, 0.05], (20, 1)), labels, NAMES[:2], np.array([0.5, 0.5])).reliability.error > 0.19


def test_the_draws_of_mean_average_precision_are_those_of_scikit_learn_less_what_an_image_vouches_for_itself() -> None:
    probabilities, labels = drawn(40, 1.0, 0.3, seed=0)
    probabilities, labels[:7, 1] = probabilities.round(1), -1

    def by_scikit_learn(times: np.ndarray) -> float:
        columns = [np.flatnonzero(column >= 0) for column in labels.T]
        return float(
            np.mean(
                [
                    average_precision_score(labels[rows, place], probabilities[rows, place], sample_weight=times[rows])
                    for place, rows in enumerate(columns)
                ]
            )
        )

    times_drawn = np.concatenate(list(draws(40, 30, seed=3)), axis=1)
    wanted = np.array([by_scikit_learn(times) for times in times_drawn.T])
    wanted -= wanted.mean() - by_scikit_learn(np.ones(40))
    np.testing.assert_allclose(resampled_map(probabilities, labels, repeats=30, seed=3), wanted.clip(0, 1))


@pytest.mark.slow
def test_the_interval_of_mean_average_precision_holds_the_truth_in_most_sets_of_a_poor_model_too() -> None:
    """Control: that of images drawn as often as they come lies too high."""
    (labels, probabilities) = reversed([column.ravel() for column in drawn(200_000, 0.3, 0.15, seed=7, num_labels=1)])
    truth, held, control = average_precision_score(labels, probabilities), 0, 0
    for seed in range(24):
        probabilities, labels = drawn(60, 0.3, 0.15, seed)
        tensors = torch.from_numpy(probabilities), torch.from_numpy(labels)
        places = np.random.default_rng(seed).integers(60, size=(40, 60))
        for name, replicates in {
            "held": resampled_map(probabilities, labels, repeats=200, seed=seed),
            "control": [mean_average_precision(*(each[rows] for each in tensors)) for rows in places],
        }.items():
            low, high = np.quantile(replicates, [0.025, 0.975])
            held += name == "held" and low <= truth <= high
            control += name == "control" and low <= truth <= high
    assert held >= 20 > control, (held, control)


def test_where_all_is_right_the_interval_is_the_exact_one_of_the_binomial() -> None:
    labels = np.eye(4, dtype=np.int8)[np.arange(20) % 4]
    result = score(labels.astype(float), labels, NAMES, np.full(4, 0.5))
    for name in ("map", "micro_f1", "macro_f1", "exact_match"):
        assert result.intervals[name] == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def test_a_set_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(DataError, match=r"None of the 3 images has a label that is known"):
        scored(np.full((3, 2), -1, dtype=np.int8))


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    labels = np.ones((3, 2), dtype=np.int8)
    probabilities = np.full((3, 2), 0.5)
    probabilities[1, 1] = np.nan
    with pytest.raises(TrainerError, match=r"no numbers .* for 1 of 3 images"):
        score(probabilities, labels, NAMES[:2], np.full(2, 0.5))


def test_images_without_any_label_are_right_where_nothing_is_said() -> None:
    labels = np.zeros((4, 2), dtype=np.int8)
    result = score(np.full((4, 2), 0.2), labels, NAMES[:2], np.array([0.5, 0.1]))
    assert (result.map, result.exact_match, result.micro_f1) == (None, 0.0, 0.0)
    assert score(np.full((4, 2), 0.2), labels, NAMES[:2], np.full(2, 0.5)).exact_match == 1.0
