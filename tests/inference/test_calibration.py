"""Calibration against sums written out, and temperatures against torch's optimizer and against a grid."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.inference.calibration import apply_temperature, fit_temperature, log_of, reliability

ARRAYS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def drawn(generator, num_images=500, num_classes=4, temperature=1.0):
    """Logits, and labels that are drawn from their softmax at a temperature."""
    logits = 3 * generator.normal(size=(num_images, num_classes))
    probabilities = softmax(logits / temperature)
    labels = (generator.random((num_images, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=num_classes - 1)
    return logits, labels


def softmax(logits):
    return torch.tensor(logits, dtype=torch.float64).softmax(dim=1).numpy()


def nll(logits, labels, temperature):
    scaled = torch.tensor(logits, dtype=torch.float64) / temperature
    return torch.nn.functional.cross_entropy(scaled, torch.tensor(labels), ignore_index=-1).item()


def test_the_bins_of_a_small_set_by_hand():
    confidence = np.array([0.1, 0.5, 0.5, 0.75, 1.0, 1.0])
    right = np.array([False, True, False, True, True, True])
    low, high = reliability(confidence, right, num_bins=2).bins
    assert (low.low, low.high, low.images, low.accuracy) == (0.0, 0.5, 3, pytest.approx(1 / 3))
    assert low.confidence == pytest.approx(1.1 / 3)  # 0.5 lies in the lower bin, whose edge it is
    assert (high.images, high.accuracy, high.confidence) == (3, 1.0, pytest.approx(2.75 / 3))
    expected = (abs(1.1 - 1) + abs(2.75 - 3)) / 6
    assert reliability(confidence, right, num_bins=2).error == pytest.approx(expected)


@given(ARRAYS, st.integers(1, 20))
def test_the_calibration_error_is_its_formula_written_out(generator, num_bins):
    confidence = generator.integers(0, 41, size=60) / 40  # many of them on edges of bins
    right = generator.random(60) < 0.6
    expected = 0.0
    for number in range(num_bins):
        low, high = number / num_bins, (number + 1) / num_bins
        inside = [i for i, each in enumerate(confidence) if low < each <= high or (number == 0 and each == 0)]
        if inside:
            gap = sum(right[i] for i in inside) / len(inside) - sum(confidence[i] for i in inside) / len(inside)
            expected += len(inside) / 60 * abs(gap)
    result = reliability(confidence, right, num_bins)
    assert sum(each.images for each in result.bins) == 60
    assert result.error == pytest.approx(expected, abs=1e-12)


def test_there_are_15_bins_and_empty_ones_have_no_means():
    bins = reliability(np.array([0.99]), np.array([True])).plain()
    assert len(bins) == 15 and bins[-1]["images"] == 1
    assert bins[0] == {"low": 0.0, "high": pytest.approx(1 / 15), "images": 0, "confidence": None, "accuracy": None}
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)).error == 0.0


def test_a_model_that_says_what_it_knows_has_a_small_error_and_one_that_boasts_a_large_one():
    logits, labels = drawn(np.random.default_rng(0), num_images=20_000)
    errors = {}
    for boast in (1.0, 4.0):
        probabilities = softmax(boast * logits)
        errors[boast] = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels).error
    assert errors[1.0] < 0.01 < 0.1 < errors[4.0]


@settings(deadline=None)  # scipy is imported on the way
@given(ARRAYS, st.floats(0.2, 8.0))
def test_the_fitted_temperature_is_the_least_of_a_grid_and_of_torch(generator, temperature):
    logits, labels = drawn(generator, num_images=200, temperature=temperature)
    labels[:20] = -1
    fitted = fit_temperature(logits, labels)
    assert 0.05 <= fitted <= 20
    least = nll(logits, labels, fitted)
    for other in np.geomspace(0.05, 20, 60):
        assert least <= nll(logits, labels, other) + 1e-12
    log_temperature = torch.tensor(math.log(fitted), dtype=torch.float64, requires_grad=True)
    scaled = torch.tensor(logits) / log_temperature.exp()
    torch.nn.functional.cross_entropy(scaled, torch.tensor(labels), ignore_index=-1).backward()
    if 0.05 < fitted < 20:
        assert abs(log_temperature.grad.item()) < 1e-8


def test_the_temperature_that_labels_were_drawn_at_is_found_again():
    logits, labels = drawn(np.random.default_rng(1), num_images=50_000, temperature=1.7)
    assert fit_temperature(logits, labels) == pytest.approx(1.7, rel=0.03)


@settings(deadline=None)  # scipy is imported on the way
@given(ARRAYS, st.floats(0.2, 5.0))
def test_logits_and_their_log_probabilities_have_one_temperature(generator, temperature):
    logits, labels = drawn(generator, num_images=50, temperature=temperature)
    assert fit_temperature(log_of(softmax(logits)), labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_a_temperature_lies_in_its_bounds_where_all_are_right_or_none():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 0.05
    assert fit_temperature(logits, np.array([1, 0])) == 20.0


def test_a_temperature_that_changes_nothing_is_1():
    assert fit_temperature(np.zeros((3, 4)), np.array([0, 1, 2])) == 1.0
    assert fit_temperature(np.array([[5.0, 1.0]]), np.array([-1])) == 1.0
    assert fit_temperature(np.array([[5.0]]), np.array([0])) == 1.0


def test_probabilities_of_exactly_0_and_1_have_a_temperature():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    for labels in ([0, 1, 0], [0, 1, 1], [1, 0, 1]):
        fitted = fit_temperature(log_of(probabilities), np.array(labels))
        with np.errstate(divide="ignore"):
            assert fitted == fit_temperature(np.log(probabilities), np.array(labels))
        applied = apply_temperature(probabilities, fitted)
        assert np.isfinite(applied).all() and applied.sum(axis=1) == pytest.approx([1, 1, 1])


@given(ARRAYS, st.floats(0.05, 20.0))
def test_a_temperature_divides_the_logits(generator, temperature):
    logits = 3 * generator.normal(size=(20, 5))
    applied = apply_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(applied, softmax(logits / temperature), rtol=1e-7, atol=1e-12)


def test_the_fitted_temperature_mends_the_calibration():
    logits, labels = drawn(np.random.default_rng(2), num_images=10_000)
    boasting = softmax(3 * logits)
    mended = apply_temperature(boasting, fit_temperature(log_of(boasting), labels))
    before, after = (reliability(each.max(axis=1), each.argmax(axis=1) == labels).error for each in (boasting, mended))
    assert after < 0.02 < 0.1 < before
