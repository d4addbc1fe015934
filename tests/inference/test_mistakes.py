"""Which images are picked, by hand and against the definitions written out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.inference.mistakes import Doubt, doubtful_labels, highest_losses, surest_mistakes

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4], [0.05, 0.95], [0.3, 0.7]])
LABELS = np.array([0, 0, 1, 1, -1, 0])


def test_the_surest_mistakes_come_first_and_images_without_a_label_never():
    ranked = surest_mistakes(PROBABILITIES, LABELS, 3)
    assert ranked.indices.tolist() == [1, 2, 5]
    assert ranked.values.tolist() == [0.8, 0.7, 0.7]
    assert surest_mistakes(PROBABILITIES, LABELS, 99).indices.tolist() == [1, 2, 5, 3]


def test_a_model_without_mistakes_has_none():
    assert surest_mistakes(PROBABILITIES, PROBABILITIES.argmax(axis=1), 5).indices.tolist() == []


def test_the_highest_losses_are_of_images_with_a_label_right_or_wrong():
    losses = np.array([0.1, 1.6, 1.2, 0.9, 9.0, 1.2])
    ranked = highest_losses(losses, LABELS, 4)
    assert ranked.indices.tolist() == [1, 2, 5, 3]
    assert ranked.values.tolist() == [1.6, 1.2, 1.2, 0.9]
    assert highest_losses(losses, LABELS, 9).indices.tolist()[-1] == 0


def test_a_label_is_in_doubt_where_the_model_is_sure_of_another_class():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95], [0.45, 0.55]])
    labels = np.array([0, 0, 1, 1, 0, 0])  # sure of class 0 from 0.55 on, of class 1 from 0.85
    (doubt,) = doubtful_labels(probabilities, labels)
    assert doubt == Doubt(image=4, label=0, likely=1, margin=0.95 - 0.05)  # the last is wrong too, but not sure


def as_defined(probabilities, labels):
    """Confident learning, image by image: (image, label, likely class)."""
    rows = [
        (i, row, y) for i, (row, y) in enumerate(zip(probabilities.tolist(), labels.tolist(), strict=True)) if y >= 0
    ]
    thresholds = {}
    for each in {y for _, _, y in rows}:
        own = [row[each] for _, row, y in rows if y == each]
        thresholds[each] = sum(own) / len(own)
    found = set()
    for image, row, label in rows:
        sure = [each for each, least in thresholds.items() if row[each] >= least - 1e-9]
        likely = max(sorted(sure), key=lambda each, row=row: row[each], default=label)
        if likely != label and row[likely] > row[label]:
            found.add((image, label, likely))
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 60))
def test_labels_are_in_doubt_as_confident_learning_defines_it_the_clearest_first(seed, num_classes, num_images):
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 5, size=(num_images, num_classes)) + 0.5  # many of them equal
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    labels = generator.integers(-1, num_classes, size=num_images)
    doubts = doubtful_labels(probabilities, labels)
    assert {(each.image, each.label, each.likely) for each in doubts} == as_defined(probabilities, labels)
    margins = [each.margin for each in doubts]
    assert margins == sorted(margins, reverse=True)
    assert all(
        each.margin == probabilities[each.image, each.likely] - probabilities[each.image, each.label] for each in doubts
    )


def test_labels_that_were_changed_on_purpose_are_found_and_few_others():
    """100 of 2,000 have been given another label. Control: where the answer is another, most labels are right."""
    generator = np.random.default_rng(0)
    truth = generator.integers(5, size=2000)
    logits = generator.normal(size=(2000, 5))
    logits[np.arange(2000), truth] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(np.arange(2000) < 100, (truth + 1) % 5, truth)
    found = {each.image for each in doubtful_labels(probabilities, labels)}
    suspected = set(np.flatnonzero(probabilities.argmax(axis=1) != labels).tolist())
    changed = set(range(100))
    assert len(found & changed) >= max(55, 0.95 * len(found))
    assert len(suspected & changed) < 0.5 * len(suspected)


def test_a_model_is_sure_where_it_is_as_sure_as_ever():
    """The mean of three times 0.8 lies above 0.8, as computers count."""
    assert (0.8 + 0.8 + 0.8) / 3 > 0.8
    probabilities = np.array([[0.2, 0.8]] * 4 + [[0.9, 0.1]])
    doubts = doubtful_labels(probabilities, np.array([1, 1, 1, 0, 0]))
    assert [(each.image, each.likely) for each in doubts] == [(3, 1)]


def test_equal_images_come_in_their_order():
    probabilities = np.tile([[0.1, 0.9], [0.2, 0.8]], (100, 1))
    found = surest_mistakes(probabilities, np.zeros(200, dtype=np.int64), 150).indices.tolist()
    assert found == [*range(0, 200, 2), *range(1, 100, 2)]


def test_an_image_that_is_the_only_one_of_its_class_is_not_in_doubt_for_that():
    assert doubtful_labels(np.array([[0.3, 0.7]]), np.array([0])) == []  # nothing says what is sure of class 1
