"""Average precision and thresholds, against scikit-learn, which shares no code with them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, f1_score

from trainer.task.ranking import average_precisions, best_thresholds, mean_average_precision

LABELS = arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.sampled_from([-1, 0, 1]))


def probabilities_for(labels: np.ndarray, steps: int) -> np.ndarray:
    """With few steps many are equal."""
    return np.random.default_rng(labels.size).integers(0, steps + 1, labels.shape) / steps


@given(LABELS, st.sampled_from([2, 1000]))
def test_average_precision_is_that_of_scikit_learn_with_ties_and_unknown_labels(labels: np.ndarray, steps: int) -> None:
    probabilities = probabilities_for(labels, steps)
    found = average_precisions(torch.from_numpy(probabilities), torch.from_numpy(labels)).tolist()
    wanted = []
    for column, (own, said) in enumerate(zip(labels.T, probabilities.T, strict=True)):
        if not (own > 0).any():
            assert np.isnan(found[column])
            continue
        wanted.append(average_precision_score(own[own >= 0], said[own >= 0]))
        assert found[column] == pytest.approx(wanted[-1])
    mean = mean_average_precision(torch.from_numpy(probabilities), torch.from_numpy(labels))
    assert mean == pytest.approx(np.mean(wanted) if wanted else 0.0)


@pytest.mark.slow
@given(LABELS, st.sampled_from([2, 1000]))
def test_no_threshold_gives_a_greater_f1_than_the_one_found_which_is_halfway_to_the_first_that_gives_less(
    labels: np.ndarray, steps: int
) -> None:
    probabilities = probabilities_for(labels, steps)
    found = best_thresholds(torch.from_numpy(probabilities), torch.from_numpy(labels)).tolist()
    for threshold, own, said in zip(found, labels.T, probabilities.T, strict=True):
        known = own >= 0
        if not (own > 0).any():
            assert threshold == 0.5
            continue
        scores = {at: f1_score(own[known], said[known] >= at) for at in np.unique(said[known])}
        best = max(scores.values())
        lowest = min(at for at, score in scores.items() if score == pytest.approx(best, abs=1e-12))
        assert threshold == (lowest + max((at for at in scores if at < lowest), default=0)) / 2


def test_of_nothing_the_mean_is_nothing() -> None:
    assert mean_average_precision(torch.empty(0, 3), torch.empty(0, 3, dtype=torch.int8)) == 0.0
