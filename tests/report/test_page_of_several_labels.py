"""The page of a run whose pictures have several labels, and its other words and pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shared import TINY, Ended, Reader
from sklearn.metrics import average_precision_score

from trainer.cli.main import main
from trainer.records.folder import RunFolder
from trainer.registry import entries
from trainer.report.page.facts import RunFacts
from trainer.report.page.multi import caption, no_better, of_counts, of_evaluation
from trainer.report.page.pictures import Mistake, read_pictures
from trainer.report.page.settings import unlike_defaults
from trainer.report.page.wordings import wording_of
from trainer.report.page.words import small_print, verdict
from trainer.report.samples import labels_in_words, mixture_in_words, of_many_classes

EVALUATION: dict[str, Any] = {
    "task": "multi",
    "classes": ["cat", "dog"],
    "images": 40,
    "map": 0.875,
    "micro_f1": 0.8,
    "macro_f1": 0.79,
    "exact_match": 0.6,
    "nll": 0.3,
    "brier": 0.1,
    "ece": 0.05,
    "per_class": {
        "cat": {"average_precision": 0.9, "precision": 0.8, "recall": 0.8, "f1": 0.8, "support": 10, "threshold": 0.4},
        "dog": {
            "average_precision": 0.85,
            "precision": 0.5,
            "recall": 0.9,
            "f1": 0.64,
            "support": 20,
            "threshold": 0.3,
        },
    },
    "reliability": [
        {"low": 0.0, "high": 0.5, "images": 60, "confidence": 0.3, "accuracy": 0.2},
        {"low": 0.5, "high": 1.0, "images": 20, "confidence": 0.7, "accuracy": 0.8},
    ],
    "intervals": {"map": [0.81, 0.93]},
    "mistakes": [
        {"path": "a.jpg", "labels": ["cat", "dog"], "label": "dog", "is_there": True, "probability": 0.03},
        {"path": "a.jpg", "labels": [], "label": "cat", "is_there": False, "probability": 0.97},
    ],
}
"""What `evaluate` writes, as far as a page needs it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run with its page: not to be changed."""
    outputs = tmp_path_factory.mktemp("several")
    words = ("data.images=200", "task=multi", "aug.mixup=0.5", "name=x", "report=true")
    assert main([f"output={outputs}", *TINY, *words]) == 0
    return outputs / "x"


@pytest.mark.parametrize("name", sorted(entries("task")))
def test_a_page_has_words_for_every_task(name: str) -> None:
    assert wording_of(name).TASK.name == name


def test_the_page_tells_label_by_label_what_a_run_with_several_labels_is_worth(run: Path) -> None:
    reader = Reader(run / "report.html")
    told = ("Label by label", "average precision", "threshold", "The mistakes that it was surest of", "More scores")
    told += ("exact match", "micro F1", "macro F1", "mean average precision, test", "What it saw in training")
    assert [words for words in told if words not in reader.text] == []
    assert not [words for words in ("Confusion matrix", "accuracy", "taken for") if words in reader.text]
    for image in reader.all("img"):
        assert (image["src"] or "").startswith("data:image/webp;base64,") and image["alt"]


def test_curves_are_drawn_of_the_scores_that_the_task_has(run: Path) -> None:
    with Image.open(run / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000
    charts = [each for each in Reader(run / "report.html").all("svg") if each.get("role") == "img"]
    assert any("training F1 from" in (each["aria-label"] or "") for each in charts)
    assert any("validation mean average precision from" in (each["aria-label"] or "") for each in charts)


def test_training_images_and_mistakes_are_told_with_all_their_labels(run: Path) -> None:
    pictures = read_pictures(run / "pictures.json")
    assert all(set(sample.label.split(", ")) <= set("012") for sample in pictures.samples)
    assert any(len(sample.label.split(", ")) > 1 for sample in pictures.samples)
    assert any("%" in words and " + " in words for sample in pictures.samples for _, words in sample.cells)
    assert pictures.mistakes and all(mistake.picture and mistake.map for mistake in pictures.mistakes)
    figures = json.loads((run / "summary.json").read_text())["per_class"]
    for mistake in pictures.mistakes:
        is_said = mistake.probability >= figures[mistake.prediction]["threshold"]
        assert (mistake.prediction in mistake.label) == mistake.missed != is_said


def test_the_run_closes_with_the_score_in_whole_words(train: Callable[..., Ended]) -> None:
    ended = train("task=multi")
    assert "test mean average precision " in ended.out and "was not drawn" not in ended.out


def test_the_page_is_drawn_again_from_records_with_what_an_evaluation_says(run: Path, tmp_path: Path) -> None:
    page, folder = tmp_path / "page.html", run / "evaluation" / "test"
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    assert main(["report", str(run), f"output={page}"]) == 0
    text = Reader(page).text
    assert "It gets every label right on 24 of 40 test pictures; it most often sees “dog” where it is not." in text
    assert "expect a mean average precision of 81.0 to 93.0% (95%)" in text
    assert "cat and dog: dog missed, 3% sure of it" in text and "no label: cat said too, 97% sure of it" in text
    assert "Its probabilities are too high: a label has 40.0% on average, and is there in 35.0%." in text


def test_the_sentence_says_how_often_every_label_is_right_and_what_is_wrong_most_often(tmp_path: Path) -> None:
    scores = of_evaluation(EVALUATION, tmp_path / "val")
    assert scores.part == "validation" and scores.score == 0.875 and scores.accuracy == 0.6

    def facts(config: dict[str, Any]) -> RunFacts:
        return RunFacts(RunFolder(tmp_path), config, {}, {"task": "multi"}, [], [], (scores,), ())

    # dog: 18 of 20 found, in 36 pictures that were said to have it. cat: 2 missed, 2 made up.
    assert verdict(facts({})).endswith("on 24 of 40 validation pictures; it most often sees “dog” where it is not.")
    told = " ".join(small_print(facts({})))
    assert "The best epoch and the thresholds of the labels were chosen on the same images" in told
    assert "one of them is 2.5% of the exact match" in told
    assert "Its mean average precision is 87.5%, where a random order has 37.5%" in told
    said = " ".join(small_print(facts({"task": {"name": "multi", "threshold": 0.5}})))
    assert "The best epoch was chosen on the same images" in said


def test_a_random_order_has_the_mean_average_precision_that_is_called_chance(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.random((400, 3)) < [0.1, 0.3, 0.6]
    found = [average_precision_score(labels, generator.random(labels.shape), average="macro") for _ in range(50)]
    per_class = {name: {"support": int(count)} for name, count in zip("abc", labels.sum(axis=0), strict=True)}

    def said(score: float) -> str:
        return no_better(of_counts("test", {"per_class": per_class, "images": 400}, score, ()))

    chance = float(np.mean(found))
    assert "no better than chance" in said(chance - 0.02) and "hardly better than chance" in said(chance + 0.03)
    assert said(chance + 0.1) == said(1.0) == ""


def test_chance_is_among_the_images_of_which_a_label_is_known() -> None:
    per_class = {"a": {"support": 10, "known": 20}, "b": {"support": 10, "known": 100}, "c": {"support": 0, "known": 0}}
    scores = of_counts("test", {"per_class": per_class, "images": 100}, 0.2, ())
    assert "would be 30.0%" in no_better(scores)


def test_what_is_said_of_a_mistake_tells_whether_the_label_was_missed() -> None:
    assert "".join(words for words, _ in caption(Mistake("x", "a and b", "b", 0.1, missed=True))) == (
        "a and b: b missed, 10% sure of it"
    )


def test_the_loss_that_the_task_chooses_is_no_setting_that_was_changed() -> None:
    loss = {"loss": {"name": "binary_cross_entropy"}}
    told = [[key for key, _, _ in unlike_defaults(config)] for config in (loss, {"task": {"name": "multi"}, **loss})]
    assert "loss" in told[0] and "loss" not in told[1] and "task" in told[1]


def test_images_are_shown_of_as_many_labels_as_can_be() -> None:
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [-1, -1, -1], [0, 1, -1]], dtype=torch.int8)
    assert of_many_classes(labels, [0, 1, 2, 5, 3], 3) == [0, 2, 3]
    assert of_many_classes(torch.tensor([0, 0, 1, -1, 1]), range(5), 3) == [0, 2, 3]
    assert labels_in_words(labels, "abc") == ["a, b", "a", "c", "no label", "(ignored)", "b"]


def test_mixtures_are_told_where_something_was_mixed() -> None:
    assert mixture_in_words(torch.tensor([1.0, 0.7, -1.0, 0.3]), "abcd") == "100% a + 70% b + 30% d"
    assert mixture_in_words(torch.tensor([1.0, 1.0, 0.0, -1.0]), "abcd") == ""
