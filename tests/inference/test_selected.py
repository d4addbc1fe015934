"""What is told of the weights that validation has selected, class by class."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import Ended
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from trainer.engine.checkpoint import Checkpoints
from trainer.inference.multi import selected as several_labels
from trainer.inference.single.selected import figures, surest_mistakes
from trainer.task import multi as several
from trainer.task.single import SINGLE, Collector, Verdicts

CLASSES = ["ants", "bees", "wasps"]


def answers_of(labels: list[int], answers: list[int], probabilities: list[float] | None = None) -> Verdicts:
    sure = probabilities or [0.5] * len(labels)
    return Verdicts(torch.tensor(labels).int(), torch.tensor(answers).int(), torch.tensor(sure))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_the_figures_of_each_class_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    found = figures(answers_of(*map(list, zip(*pairs, strict=True))), CLASSES)
    labelled = [(label, answer) for label, answer in pairs if label >= 0]
    labels, said = ([pair[place] for pair in labelled] for place in (0, 1))
    if not labelled:
        assert all(scores["support"] == 0 for scores in found["per_class"].values())
        return
    assert found["confusion"] == confusion_matrix(labels, said, labels=[0, 1, 2]).tolist()
    expected = precision_recall_fscore_support(labels, said, labels=[0, 1, 2], zero_division=np.nan)
    for place, name in enumerate(CLASSES):
        told = [found["per_class"][name][key] for key in ("precision", "recall", "f1", "support")]
        np.testing.assert_allclose(
            [np.nan if each is None else each for each in told], [row[place] for row in expected]
        )


def test_the_pairs_that_are_confused_most_come_first_and_are_told_of_many_classes_too() -> None:
    found = figures(answers_of([0, 0, 0, 1, 2, 2], [1, 1, 0, 0, 2, 2]), CLASSES)
    assert found["most_confused"] == [
        {"label": "ants", "answer": "bees", "images": 2},
        {"label": "bees", "answer": "ants", "images": 1},
    ]
    many = figures(answers_of([0, 120], [7, 120]), [f"c{place}" for place in range(121)])
    assert many["confusion"] is None
    assert many["most_confused"] == [{"label": "c0", "answer": "c7", "images": 1}]


def test_the_surest_mistakes_are_wrong_and_labelled_and_come_surest_first() -> None:
    answers = answers_of([0, 0, -1, 1, 2], [1, 0, 1, 2, 0], [0.6, 0.99, 0.98, 0.9, 0.7])
    assert surest_mistakes(answers, SINGLE, None, 2) == [(3, 2), (4, 0)]


def test_labels_are_mistaken_by_the_thresholds_of_the_validation_and_those_far_beyond_them_first() -> None:
    """Control: with 0.5 for all, other labels are mistakes."""
    validation = several.Verdicts(torch.tensor([[1, 1], [0, 0]]).to(torch.int8), torch.tensor([[0.3, 0.9], [0.1, 0.7]]))
    labels = torch.tensor([[1, 0], [0, 0], [1, 1], [-1, -1], [0, -1]]).to(torch.int8)
    probabilities = torch.tensor([[0.4, 0.6], [0.3, 0.1], [0.05, 0.7], [0.9, 0.9], [0.6, 0.9]])
    answers = several.Verdicts(labels, probabilities)
    # The thresholds are 0.2 and 0.8. Image 2: the first label has gone 3/4 of the way to 0, the second 1/8.
    found = several_labels.surest_mistakes(answers, several.Multi(), validation, 9)
    assert found == [(2, 0), (4, 0), (1, 0)]
    told = several_labels.mistake(answers, *found[0], ["ants", "bees"], "c.png")
    assert (told.label, told.prediction, told.missed) == ("ants and bees", "ants", True)
    assert several_labels.surest_mistakes(answers, several.Multi(), validation, 1) == [(2, 0)]
    at_half = several_labels.surest_mistakes(answers, several.Multi(0.5), validation, 9)
    assert {place for place, _ in at_half} == {0, 2, 4}


def test_the_collector_gives_what_it_was_given_in_order() -> None:
    collector = Collector()
    logits = torch.tensor([[0.0, 2.0], [1.0, 1.0], [3.0, 0.0]])
    collector.add(logits[:2], torch.tensor([1, 0]))
    collector.add(logits[2:], torch.tensor([-1]))
    answers = collector.read()
    assert answers.answers.tolist() == [1, 0, 0] and answers.labels.tolist() == [1, 0, -1]
    torch.testing.assert_close(answers.probabilities, logits.softmax(1).amax(1))


@pytest.mark.slow
def test_summary_json_holds_the_figures_of_the_selected_weights_and_they_agree_with_its_accuracy(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    train("name=x", "data.images=200")
    folder = tmp_path / "outputs" / "x"
    summary = json.loads((folder / "summary.json").read_text())
    for told, accuracy in (
        (summary, summary["best"]["val_accuracy"]),
        (summary["test"], summary["test"]["accuracy"]),
    ):
        confusion = np.array(told["confusion"])
        assert np.trace(confusion) / confusion.sum() == pytest.approx(accuracy, abs=1e-12)
        assert [scores["support"] for scores in told["per_class"].values()] == confusion.sum(axis=1).tolist()
        assert list(told["per_class"]) == ["0", "1", "2"]
        assert sum(each["images"] for each in told["reliability"]) == confusion.sum()


@pytest.mark.slow
def test_a_run_resumed_after_its_best_epoch_tells_the_same_figures_as_an_unbroken_one(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    train("name=whole", "epochs=4", "optim.lr=0.5", "sched=constant")
    train("name=parts", "epochs=2", "optim.lr=0.5", "sched=constant")
    train("name=parts", "epochs=4", "optim.lr=0.5", "sched=constant", "resume=auto")
    whole, parts = (
        json.loads((tmp_path / "outputs" / name / "summary.json").read_text()) for name in ("whole", "parts")
    )
    for key in ("per_class", "confusion", "most_confused", "ece", "reliability"):
        assert whole[key] == parts[key] is not None


def test_a_best_pt_of_before_has_no_answers_and_the_summary_says_nothing_of_classes(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    train("name=x", "epochs=2")
    checkpoints = Checkpoints(tmp_path / "outputs" / "x" / "checkpoints")
    best = checkpoints.load_best()
    del best["verdicts"]
    checkpoints.keep("best.pt", best)
    (tmp_path / "outputs" / "x" / "summary.json").unlink()
    assert train("name=x", "resume=auto", "epochs=2").code == 0
    summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
    assert summary["status"] == "finished" and summary["best"]
    assert summary["per_class"] is summary["confusion"] is summary["reliability"] is None
