"""compare: runs side by side."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from shared import TINY, Ended

from trainer.cli.main import main
from trainer.inference.compare_page import verdict
from trainer.inference.compared import compared
from trainer.records.folder import RunFolder
from trainer.report.page.facts import facts_of

Train = Callable[..., Ended]


@pytest.fixture
def two(train: Train, tmp_path: Path) -> list[Path]:
    """Two runs on the same data that differ in the rate and in the network."""
    train("name=slow", "data.images=200", "optim.lr=1e-6")
    tiny = [word for word in TINY if not word.startswith("model.")]
    assert train("name=fast", *tiny, "data.images=200", "model=mlp", "model.image_size=12", tiny=False).code == 0
    return [tmp_path / "outputs" / name for name in ("slow", "fast")]


def evaluated(run: Path, rows: Sequence[Sequence[str]], part: str = "test") -> None:
    """Leaves what evaluate leaves."""
    folder, best = run / "evaluation" / part, run / "checkpoints" / "best.pt"
    folder.mkdir(parents=True)
    with (folder / "predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "prediction", "probability", "a", "b"], *rows])
    right = sum(row[1] == row[2] for row in rows)
    counts = [[sum(row[1:3] == [label, answer] for row in rows) for answer in "ab"] for label in "ab"]
    data = {
        "accuracy": right / len(rows), "images": len(rows), "classes": ["a", "b"], "own_data": True, "tta": "none",
        "per_class": {name: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 10} for name in "ab"},
        "confusion": counts, "runs": [{"weights": hashlib.sha256(best.read_bytes()).hexdigest()}],
        "mistakes": [{"path": row[0], "label": row[1], "prediction": row[2], "probability": 0.9} for row in rows[:1]],
    }  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(data))


@pytest.mark.slow
def test_compare_tells_settings_scores_and_luck_from_what_validation_left(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, two)]) == 0
    told = capsys.readouterr().out
    settings, _, scores = told.partition("scores on validation")
    assert "optim.lr" in settings and "small_cnn" in settings and "mlp" in settings
    assert "model.widths" not in settings  # an option of one of the two networks alone
    assert "batch_size" not in settings
    assert "more than noise (McNemar's test" in scores or "equally many" in scores
    assert "They disagree on" in scores and "validation image" in scores
    page = two[0].parent / "compare.html"
    assert told.endswith(f"written: {page}\n") and re.search(r"\n  and [\d,]+ more\n", told)
    text = page.read_text()
    assert "Validation accuracy" in text and "Settings" in text and "Where they disagree" in text


@pytest.mark.slow
def test_answers_are_matched_by_path_and_those_of_one_label_alone_are_compared(two: list[Path], tmp_path: Path) -> None:
    pictures = [str(tmp_path / f"{number}.png") for number in range(20)]
    evaluated(two[0], [[path, "a", "b", "0.9", "0", "0"] for path in pictures])
    evaluated(two[1], [[path, "a", "a", "0.9", "0", "0"] for path in reversed(pictures[2:])])
    found = compared([facts_of(RunFolder(path)) for path in two])
    assert (found.part, found.images) == ("test", 18)
    (difference,) = found.differences
    assert (difference.only_first, difference.only_second) == (0, 18) and difference.more_than_noise
    assert verdict(found) == "“fast” is right most often, on 100.0%, and that is more than luck."
    assert len(found.disagreements) == 18 and found.disagreements[0].answers == ("b", "a")
    assert found.missing == ["Compared on the 18 images that all of them answered, and on no others."]


@pytest.mark.slow
def test_answers_of_earlier_weights_are_not_taken_for_those_of_the_present_ones(two: list[Path]) -> None:
    for path in two:
        evaluated(path, [["x.png", "a", "a", "0.9", "0", "0"]])
    before = two[0] / "evaluation" / "test" / "evaluation.json"
    data = json.loads(before.read_text())
    before.write_text(json.dumps({**data, "runs": [{"weights": "0" * 64}]}))
    facts = [facts_of(RunFolder(path)) for path in two]
    assert facts[0].outdated == ("test",) and facts[1].outdated == ()
    assert compared(facts).part == "validation"


def test_runs_on_other_images_are_compared_as_far_as_can_be_and_what_is_missing_is_said(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("name=one")
    train("name=two", "data.seed=5")
    capsys.readouterr()
    assert main(["compare", *(str(tmp_path / "outputs" / name) for name in ("one", "two"))]) == 0
    told = capsys.readouterr().out
    assert "these runs have not answered the same images. Evaluate each on the same" in told
    assert "data.seed" in told
    assert "whether by more than luck is not known" in (tmp_path / "outputs" / "compare.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a"], 2, "compare: name two runs at least: python -m trainer compare RUN RUN [output=FILE.html]\n"),
        (["a", "b"], 4, "a is no run folder, nor a best.pt.\n"),
        (["a", "b", "split=x"], 2, "compare: there is no option 'split'. It takes output.\n"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == code
    assert capsys.readouterr().err == said
    assert list(tmp_path.iterdir()) == []


def test_evaluate_draws_the_page_again_with_what_it_has_found(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("name=x", "report=true")
    run = tmp_path / "outputs" / "x"
    page = run / "report.html"
    assert "Brier score" not in page.read_text()
    capsys.readouterr()
    assert main(["evaluate", str(run), "split=test"]) == 0
    assert str(page) in capsys.readouterr().out
    assert "Brier score" in page.read_text() and "balanced accuracy" in page.read_text()
    page.unlink()
    assert main(["evaluate", str(run), "split=test", "tta=flip"]) == 0
    assert not page.exists()  # a page shows what the run answers, looked at once
