"""Scores against formulas written out one image at a time, against scikit-learn's own, and by hand."""

import json
import math
import subprocess
import sys
import time
import tracemalloc
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from trainer.errors import DataError, TrainerError
from trainer.inference.calibration import apply_temperature
from trainer.inference.single.scoring import losses_of, most_confused, score

KEYS = [
    "accuracy",
    "top5",
    "balanced_accuracy",
    "loss",
    "nll",
    "brier",
    "ece",
    "temperature",
    "images",
    "per_class",
    "confusion",
    "classes",
    "intervals",
]
BINARY_KEYS = ["roc_auc", "average_precision", "f1_threshold"]
PETS = ["cat", "dog", "hen"]


def names(count):
    return [f"class {number}" for number in range(count)]


def softmax(logits):
    likelihoods = np.exp(logits - logits.max(axis=1, keepdims=True))
    return likelihoods / likelihoods.sum(axis=1, keepdims=True)


def drawn(num_images, num_classes, seed=0, unlabelled=0.1):
    """Probabilities of a model that is right about half of the time, and labels, some of them -1."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(num_images, num_classes))
    labels = generator.integers(num_classes, size=num_images)
    logits[np.arange(num_images), labels] += 2
    labels[generator.random(num_images) < unlabelled] = -1
    return softmax(logits), labels


def said(*answers):
    """Probabilities of three classes that give these answers, each with 0.8."""
    return np.where(np.array(answers)[:, None] == np.arange(3), 0.8, 0.1)


FEW = st.integers(1, 7)


@st.composite
def small_sets(draw, num_classes=FEW):
    """Probabilities with many equal ones and zeros among them, and labels, at least one of which is a class."""
    count = draw(num_classes)
    row = st.lists(st.integers(0, 4), min_size=count, max_size=count).filter(any)
    weights = np.array(draw(st.lists(row, min_size=1, max_size=25)), dtype=np.float64)
    labels = draw(st.lists(st.integers(-1, count - 1), min_size=len(weights), max_size=len(weights)))
    labels[draw(st.integers(0, len(labels) - 1))] = draw(st.integers(0, count - 1))
    return weights / weights.sum(axis=1, keepdims=True), np.array(labels)


def ratio(part, whole):
    return part / whole if whole else None


def written_out(probabilities, labels):
    """Every score as its formula has it, image by image."""
    pairs = [(row, label) for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True) if label >= 0]
    every = range(probabilities.shape[1])
    answers = [row.index(max(row)) for row, _ in pairs]
    truth = [label for _, label in pairs]
    both = [[sum(t == i and a == j for t, a in zip(truth, answers, strict=True)) for j in every] for i in every]
    per_class = []
    for each in every:
        hits, support, answered = both[each][each], truth.count(each), answers.count(each)
        f1 = ratio(2 * hits, support + answered)
        per_class.append((ratio(hits, answered), ratio(hits, support), f1, support))
    ranks = [sorted(every, key=lambda each, row=row: -row[each]).index(label) for row, label in pairs]
    return {
        "accuracy": mean(a == t for a, t in zip(answers, truth, strict=True)),
        "top5": mean(rank < 5 for rank in ranks),
        "balanced_accuracy": mean(recall for _, recall, _, _ in per_class if recall is not None),
        "macro_f1": mean(f1 for _, _, f1, _ in per_class if f1 is not None),
        "nll": mean(-math.log(max(row[label], sys.float_info.min)) for row, label in pairs),
        "brier": mean(sum((row[each] - (each == label)) ** 2 for each in every) for row, label in pairs),
        "images": len(pairs),
        "per_class": per_class,
        "confusion": both,
    }


@settings(max_examples=40, deadline=None)
@given(small_sets())
def test_every_score_is_its_formula_written_out(case):
    probabilities, labels = case
    expected = written_out(probabilities, labels)
    result = score(probabilities, labels, names(probabilities.shape[1]))
    for name in ("accuracy", "top5", "balanced_accuracy", "macro_f1", "nll", "brier", "images"):
        assert getattr(result, name) == pytest.approx(expected[name], abs=1e-12)
    shares = [(each.precision, each.recall, each.f1, each.support) for each in result.per_class]
    assert shares == [pytest.approx(each, abs=1e-12) for each in expected["per_class"]]
    assert result.confusion.tolist() == expected["confusion"]


@settings(max_examples=40, deadline=None)
@given(small_sets())
def test_json_can_say_every_evaluation_and_its_keys_are_those_of_the_contract(case):
    probabilities, labels = case
    plain = score(probabilities, labels, names(probabilities.shape[1])).plain()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert set(plain) == {*KEYS, *(BINARY_KEYS if probabilities.shape[1] == 2 else [])}


@settings(max_examples=40, deadline=None)
@given(small_sets())
def test_an_interval_holds_its_score_and_stays_in_range(case):
    probabilities, labels = case
    result = score(probabilities, labels, names(probabilities.shape[1]))
    for name, (low, high) in result.intervals.items():
        assert low <= high and low >= 0 and (high <= 1 or name in ("nll", "brier"))
    for name in ("accuracy", "nll", "brier"):  # means of images, which resampling does not bias
        low, high = result.intervals[name]
        assert low - 1e-12 <= getattr(result, name) <= high + 1e-12


def test_scores_are_those_of_scikit_learn_on_many_images():
    probabilities, labels = drawn(2000, 12)
    result = score(probabilities, labels, names(12))
    rows, truth = probabilities[labels >= 0], labels[labels >= 0]
    answers = rows.argmax(axis=1)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(truth, answers))
    assert result.top5 == pytest.approx(metrics.top_k_accuracy_score(truth, rows, k=5))
    assert result.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, answers))
    assert result.macro_f1 == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    assert result.nll == pytest.approx(metrics.log_loss(truth, rows))
    assert result.confusion.tolist() == metrics.confusion_matrix(truth, answers).tolist()
    assert 0.3 < result.accuracy < 0.9


def test_a_small_set_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    result = score(said(0, 0, 0, 1, 1, 0, 1, 2), labels, PETS, loss=0.7, temperature=1.5)
    plain = result.plain()
    assert plain["images"] == 7 and plain["classes"] == PETS
    assert plain["accuracy"] == pytest.approx(4 / 7)
    assert plain["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert plain["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert plain["per_class"]["cat"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert plain["per_class"]["dog"] == pytest.approx({"precision": 1 / 3, "recall": 0.5, "f1": 0.4, "support": 2})
    assert plain["per_class"]["hen"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1}
    assert plain["nll"] == pytest.approx(-(4 * math.log(0.8) + 3 * math.log(0.1)) / 7)
    assert plain["brier"] == pytest.approx((4 * 0.06 + 3 * (0.64 + 0.81 + 0.01)) / 7)
    assert plain["ece"] == pytest.approx(0.8 - 4 / 7)
    assert (plain["loss"], plain["temperature"], plain["top5"]) == (0.7, 1.5, 1.0)


def test_classes_without_images_have_no_recall_and_leave_the_balanced_accuracy_alone():
    result = score(said(0, 2, 0), np.array([0, 0, 0]), PETS)
    cat, dog, hen = result.per_class
    assert cat.recall == result.balanced_accuracy == pytest.approx(2 / 3)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (None, None, None, 0)
    assert (hen.precision, hen.recall, hen.f1, hen.support) == (0.0, None, 0.0, 0)


def test_one_image_is_enough():
    result = score(said(1), np.array([1]), PETS)
    assert result.accuracy == result.balanced_accuracy == 1.0
    assert result.intervals["accuracy"] == pytest.approx((0.025, 1.0))


def test_a_set_without_a_label_is_refused():
    with pytest.raises(DataError, match=r"None of the 2 images has a label that is a class"):
        score(said(0, 1), np.array([-1, -1]), PETS)
    with pytest.raises(DataError, match="None of the 0 images"):
        score(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), PETS)


def test_probabilities_that_are_no_numbers_are_refused():
    probabilities = said(0, 1, 2)
    probabilities[1, 2] = np.nan
    with pytest.raises(TrainerError, match=r"no numbers .* for 1 of 3 images"):
        score(probabilities, np.array([0, 1, 2]), PETS)
    assert score(probabilities, np.array([0, -1, 2]), PETS).accuracy == 1.0


def test_equal_probabilities_are_answered_as_in_training_by_the_first():
    torch = pytest.importorskip("torch")
    probabilities = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])
    assert probabilities.argmax(axis=1).tolist() == torch.tensor(probabilities).argmax(dim=1).tolist() == [0, 1]
    assert score(probabilities, np.array([0, 1]), PETS).accuracy == 1.0
    flat = np.full((10, 10), 0.1)
    assert score(flat, np.arange(10), names(10)).top5 == 0.5


def test_a_label_of_probability_zero_costs_708_and_no_infinity():
    probabilities = np.array([[1.0, 0.0]])
    assert losses_of(probabilities, np.array([1])) == pytest.approx([708.396], abs=1e-3)
    assert losses_of(probabilities, np.array([-1])).tolist() == [0.0]
    assert score(probabilities, np.array([1]), ["cat", "dog"]).nll == pytest.approx(708.396, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(small_sets(st.just(2)))
def test_the_figures_of_two_classes_are_their_formulas_written_out(case):
    probabilities, labels = case
    result = score(probabilities, labels, ["no", "yes"]).binary
    scored = [(p, y) for (_, p), y in zip(probabilities.tolist(), labels.tolist(), strict=True) if y >= 0]
    yes, no = [p for p, y in scored if y == 1], [p for p, y in scored if y == 0]
    if not yes:
        assert (result.roc_auc, result.average_precision, result.f1_threshold) == (None, None, None)
        return
    if no:  # the share of pairs in their right order (Mann and Whitney)
        assert result.roc_auc == pytest.approx(mean((p > q) + (p == q) / 2 for p in yes for q in no))
    else:
        assert result.roc_auc is None
    thresholds = sorted({p for p, _ in scored})
    recalls = [sum(p >= t for p in yes) / len(yes) for t in thresholds] + [0.0]
    precisions = [sum(p >= t for p in yes) / sum(p >= t for p, _ in scored) for t in thresholds]
    steps = [(recalls[i] - recalls[i + 1]) * precisions[i] for i in range(len(thresholds))]
    assert result.average_precision == pytest.approx(sum(steps))

    def f1(threshold):
        hits = sum(p >= threshold for p in yes)
        return 2 * hits / (sum(p >= threshold for p, _ in scored) + len(yes))

    assert result.f1_threshold in thresholds
    assert f1(result.f1_threshold) == pytest.approx(max(map(f1, thresholds)))


def test_three_classes_have_no_figures_of_two():
    assert score(said(0, 1, 2), np.array([0, 1, 2]), PETS).binary is None


def test_the_most_confused_pairs_are_told_in_words():
    answers = [0] * 88 + [1] * 12 + [1] * 297 + [0] * 2 + [2] + [2] * 9 + [1]
    labels = np.array([0] * 100 + [1] * 300 + [2] * 10)
    result = score(said(*answers), labels, PETS)
    assert most_confused(result, 3) == [
        "cat taken for dog: 12 of 100 (12%)",
        "dog taken for cat: 2 of 300 (less than 1%)",
        "dog taken for hen: 1 of 300 (less than 1%)",
    ]
    assert most_confused(result, 100)[3:] == ["hen taken for dog: 1 of 10 (10%)"]
    assert most_confused(score(said(0, 1), np.array([0, 1]), PETS), 5) == []


def test_an_interval_is_that_of_the_normal_distribution_where_there_are_many_images():
    probabilities, labels = drawn(4000, 10, unlabelled=0)
    result = score(probabilities, labels, names(10))
    surprise = losses_of(probabilities, labels)
    spread = {"accuracy": (result.accuracy * (1 - result.accuracy)) ** 0.5, "nll": surprise.std()}
    for name, deviation in spread.items():
        half = 1.96 * deviation / 4000**0.5
        assert result.intervals[name] == pytest.approx(
            (getattr(result, name) - half, getattr(result, name) + half), abs=0.15 * half
        )


@pytest.mark.slow
def test_intervals_hold_the_truth_in_about_95_of_100_sets():
    """Control: those of half the width hold it in 67."""
    truth, held, narrow = 0.7, {"accuracy": 0, "balanced_accuracy": 0}, {"accuracy": 0, "balanced_accuracy": 0}
    for seed in range(100):
        generator = np.random.default_rng(seed)
        labels = generator.integers(3, size=150)
        answers = np.where(generator.random(150) < truth, labels, (labels + 1) % 3)
        intervals = score(said(*answers), labels, PETS, seed=seed).intervals
        for name in held:
            low, high = intervals[name]
            held[name] += low <= truth <= high
            narrow[name] += abs(truth - (low + high) / 2) <= (high - low) / 4
    assert all(89 <= count <= 100 for count in held.values()), held
    assert all(count < 80 for count in narrow.values()), narrow


def test_intervals_are_a_function_of_the_seed():
    probabilities, labels = drawn(100, 4)
    one, same, other = (score(probabilities, labels, names(4), seed=seed).intervals for seed in (1, 1, 2))
    assert one == same != other


def test_where_all_are_right_the_interval_is_the_exact_one_of_the_binomial():
    result = score(said(*[0, 1] * 10), np.array([0, 1] * 10), PETS)
    expected = (pytest.approx(0.025 ** (1 / 20)), 1.0)  # 0.83: a model that is so good is right on 20 of 20 at times
    assert result.intervals["accuracy"] == result.intervals["balanced_accuracy"] == expected
    wrong = score(said(*[1] * 20), np.zeros(20, dtype=np.int64), PETS)
    assert wrong.intervals["accuracy"] == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


def test_of_five_classes_the_five_likeliest_have_no_interval():
    assert "top5" not in score(*drawn(50, 5), names(5)).intervals
    assert "top5" in score(*drawn(50, 6), names(6)).intervals


def test_the_threshold_of_the_greatest_f1_by_hand():
    probabilities = np.array([0.1, 0.6, 0.3, 0.4, 0.9])
    labels = np.array([0, 0, 1, 1, 1])
    result = score(np.stack([1 - probabilities, probabilities], axis=1), labels, ["no", "yes"]).binary
    assert result.f1_threshold == 0.3  # 3 hits and 1 false alarm: F1 6/7; from 0.4 on 2/3, from 0.9 on 1/2
    assert result.roc_auc == pytest.approx(4 / 6)


def test_memory_does_not_grow_with_the_repeats_of_the_resampling():
    probabilities, labels = drawn(20_000, 10)
    score(probabilities[:99], labels[:99], names(10))  # imports
    tracemalloc.start()
    score(probabilities, labels, names(10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * probabilities.nbytes  # all thousand draws at once would be 100 times as much


def test_ten_thousand_images_of_a_hundred_classes_are_scored_in_a_second():
    probabilities, labels = drawn(10_000, 100)
    score(probabilities[:99], labels[:99], names(100))  # imports
    begin = time.process_time()
    score(probabilities, labels, names(100))
    assert time.process_time() - begin < 3  # 0.3 s where nothing else runs; image by image it would be minutes


def test_answers_survive_a_temperature_and_scores_of_ranks_with_them():
    probabilities, labels = drawn(300, 6)
    before = score(probabilities, labels, names(6))
    after = score(apply_temperature(probabilities, 2.5), labels, names(6))
    assert (after.accuracy, after.top5, after.macro_f1) == (before.accuracy, before.top5, before.macro_f1)
    assert after.nll != before.nll


def test_importing_the_scores_costs_no_library_of_metrics():
    code = (
        "import sys; from trainer.inference import calibration, comparison, ensemble, mistakes, resampling; "
        "from trainer.inference.single import scoring; "
        "print(sorted({'sklearn', 'scipy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.strip() == "[]"
