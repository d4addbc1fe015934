"""evaluate and compare where a picture has several labels: through the command line, and against scikit-learn."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shared import TINY, Ended
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from trainer.cli.main import main
from trainer.inference.multi.words import split
from trainer.inference.spreadsheet import unescaped

Run = Callable[..., Ended]
SMALL = [word for word in TINY if not word.startswith("data.")]
LIGHTS = ("blue", "green", "red")
MULTI = ("task=multi", "data.images=250", "epochs=1")


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Run:
    """Evaluates in this process."""
    return lambda *words: called(capsys, "evaluate", *words)


def called(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Ended:
    code = main([*map(str, words)])
    printed = capsys.readouterr()
    return Ended(code, printed.out, printed.err)


def draw(folder: Path, count: int, first: int = 0) -> list[dict[str, int]]:
    """Pictures in which each of three lights is on or off, as bits of their number; what each shows."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for number in range(first, first + count):
        on = np.array([number >> place & 1 for place in range(3)])
        noise = np.random.default_rng(number).integers(0, 60, (16, 16, 3))
        Image.fromarray((noise + 180 * on[::-1]).astype(np.uint8)).save(folder / f"{number}.png")
        shown.append(dict(zip(LIGHTS, on.tolist(), strict=True)))
    return shown


def listed(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, Any]], first: int = 0) -> Path:
    """A table with a column a label. names: of the columns, in this order."""
    lines = [",".join(["path", *names])]
    lines += [f"{number}.png," + ",".join(str(row[name]) for name in names) for number, row in enumerate(rows, first)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def lights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows three lights: TMP/outputs/lights, trained on TMP/lights."""
    folder = tmp_path_factory.mktemp("lights")
    table = listed(folder / "lights" / "all.csv", LIGHTS, draw(folder / "lights", 64))
    words = (*SMALL, "epochs=8", "optim.lr=0.03", "aug=none", "data.val=0.3", "data.size=12", "data.cache=ram")
    labels = f"data.label=[{','.join(LIGHTS)}]"
    data = ("preset=none", "task=multi", "data=table", f"data.file={table}", labels)
    assert main([f"output={folder / 'outputs'}", "name=lights", *words, *data]) == 0
    return folder / "outputs" / "lights"


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


def rows(folder: Path) -> list[list[str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return [[unescaped(cell) for cell in row] for row in csv.reader(file)]


WAYS = {
    "plain": (),
    "averaged weights in bf16": ("ema=0.9", "precision=bf16"),
    "weights and smoothing": ("loss.class_weights=balanced", "loss.smoothing=0.1", "limit_val=17"),
    "focal, one threshold": ("loss=focal", "task.threshold=0.4"),
}


@pytest.mark.parametrize("words", WAYS.values(), ids=WAYS.keys())
def test_all_scores_are_those_that_training_reported_to_the_last_digit(
    train: Run, evaluate: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert train("name=x", *MULTI, *words).code == 0
    folder = tmp_path / "outputs" / "x"
    summary = json.loads((folder / "summary.json").read_text())
    told = ("micro_f1", "macro_f1", "exact_match", "per_class", "images")
    for split_name, score, reported in (
        ("val", summary["best"]["val_map"], {**summary, "loss": summary["best"]["val_loss"]}),
        ("test", summary["test"]["map"], summary["test"]),
    ):
        ended = evaluate(folder, f"split={split_name}")
        assert ended.code == 0, ended.err
        found = written(folder / "evaluation" / split_name)
        assert (found["map"], found["loss"]) == (score, reported["loss"])
        assert {key: found[key] for key in told} == {key: reported[key] for key in told}
    assert (set(found["thresholds"]) == {0.4}) == ("task.threshold=0.4" in words)


def test_thresholds_are_chosen_in_validation_for_the_test_part_too(train: Run, tmp_path: Path) -> None:
    assert train("name=x", *MULTI).code == 0
    summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
    tables = [each["per_class"].values() for each in (summary, summary["test"])]
    assert [each["threshold"] for each in tables[0]] == [each["threshold"] for each in tables[1]]


def test_the_files_agree_with_each_other_and_with_scikit_learn(lights: Path, evaluate: Run, tmp_path: Path) -> None:
    ended = evaluate(lights, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    found, (heading, *table) = written(tmp_path / "out"), rows(tmp_path / "out")
    assert heading == ["path", "labels", "prediction", *LIGHTS]
    truth = np.array([[name in split(row[1])[0] for name in LIGHTS] for row in table])
    said = np.array([[name in split(row[2])[0] for name in LIGHTS] for row in table])
    probabilities = np.array([[float(cell) for cell in row[3:]] for row in table])
    assert (said == (probabilities >= found["thresholds"])).all()
    for row, shares in zip(table, probabilities, strict=True):
        number = int(Path(row[0]).stem)
        assert split(row[1])[0] == {name for place, name in enumerate(LIGHTS) if number >> place & 1}
        order = [shares[LIGHTS.index(name)] for name in row[2].split("|") if name]
        assert order == sorted(order, reverse=True)
    assert found["map"] == pytest.approx(average_precision_score(truth, probabilities, average="macro"), abs=1e-3)
    assert found["micro_f1"] == pytest.approx(f1_score(truth, said, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro"))
    assert found["exact_match"] == pytest.approx(accuracy_score(truth, said)) and found["map"] > 0.95
    assert found["task"] == "multi" and "temperature" not in found
    assert f"mean average precision {found['map']:.2%} (95%: " in ended.out and "exact match" in ended.out


def test_no_temperature_is_fitted_and_calibration_is_refused_in_a_line(
    lights: Path, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(lights).code == 0
    assert not (lights / "evaluation" / "temperature.json").exists()
    picture = lights.parents[1] / "lights" / "0.png"
    ended = called(capsys, "predict", lights, picture, "calibrated=true")
    assert ended.code == 2 and ended.err.startswith("calibrated: ") and ended.err.count("\n") == 1


def test_another_table_is_matched_by_name_and_what_is_unknown_is_left_out(
    lights: Path, evaluate: Run, tmp_path: Path
) -> None:
    """Columns in another order, one that the run does not know, one fewer than it knows, and unknown cells."""
    shown = [{**row, "white": 1, "green": "?"} if not row["red"] else {**row, "white": 0} for row in draw(tmp_path, 16)]
    table = listed(tmp_path / "other.csv", ("white", "green", "blue"), shown)
    words = (f"data.file={table}", "data.label=[white,green,blue]", "data.ignore=?", "data.cache=ram")
    ended = evaluate(lights, *words, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    assert "classes that the run does not know, left out of the scores: white (8 images)" in ended.out
    assert "classes of the run that these pictures do not have, not scored: red" in ended.out
    found, (_, *table_rows) = written(tmp_path / "out"), rows(tmp_path / "out")
    assert found["unknown_classes"] == {"white": 8} and found["missing_classes"] == ["red"]
    assert [found["per_class"][name]["support"] for name in LIGHTS] == [8, 4, 0]
    assert found["per_class"]["red"]["average_precision"] is found["per_class"]["red"]["precision"] is None
    assert found["exact_match"] > 0.8 and found["images"] == 16
    assert split(table_rows[1][1]) == ({"blue", "white"}, {"green"})
    assert split(table_rows[5][1]) == ({"blue"}, set())


def test_pictures_of_one_label_each_are_refused_in_a_line(lights: Path, evaluate: Run, tmp_path: Path) -> None:
    for name in ("blue", "red"):
        draw(tmp_path / "set" / name, 2)
    ended = evaluate(lights, f"data.root={tmp_path / 'set'}", "data=folder")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "these pictures have one label each, and task=multi learns several" in ended.err


def test_the_pictures_of_the_table_may_lie_elsewhere(lights: Path, evaluate: Run, tmp_path: Path) -> None:
    moved = shutil.copytree(lights.parents[1] / "lights", tmp_path / "moved")
    ended = evaluate(lights, f"data.root={moved}")
    assert ended.code == 0 and "on all: 64 images" in ended.out, ended.err


def test_an_ensemble_answers_by_the_mean_whatever_the_order_of_the_classes(
    lights: Path, evaluate: Run, tmp_path: Path, train: Run
) -> None:
    """Of probabilities and of thresholds."""
    place = lights.parents[1] / "lights"
    labels = f"data.label=[{','.join(reversed(LIGHTS))}]"
    data = ("preset=none", "task=multi", "data=table", f"data.file={place / 'all.csv'}", labels, "data.size=12")
    assert train("name=other", *SMALL, "seed=1", *data, "data.val=0.3", "data.cache=ram", tiny=False).code == 0
    other = tmp_path / "outputs" / "other"
    outputs = [tmp_path / name for name in ("one", "two", "both")]
    for runs, output in zip(([lights], [other], [lights, other]), outputs, strict=True):
        ended = evaluate(*runs, f"data.file={place / 'all.csv'}", "data.cache=ram", f"output={output}")
        assert ended.code == 0, ended.err
    found = [written(output) for output in outputs]
    tables = [{row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]} for table in map(rows, outputs)]
    for path, row in tables[2].items():
        for name in LIGHTS:
            expected = (float(tables[0][path][name]) + float(tables[1][path][name])) / 2
            assert float(row[name]) == pytest.approx(expected, abs=2e-6)
    for name in LIGHTS:
        one, two, both = (each["per_class"][name]["threshold"] for each in found)
        assert both == pytest.approx((one + two) / 2)
    assert [each["map"] for each in found[2]["runs"]] == [each["map"] for each in found[:2]]
    assert found[2]["loss"] is None and "together" in ended.out


def test_a_run_of_another_task_is_in_no_ensemble_and_in_no_comparison(
    lights: Path, evaluate: Run, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    ended = evaluate(lights, finished)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert f"{finished} (task=single) cannot be in an ensemble with {lights} (task=multi)" in ended.err
    ended = called(capsys, "compare", lights, finished)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "lights has task=multi, x has task=single" in ended.err


def test_weights_alone_and_an_exported_folder_answer_from_the_thresholds_of_the_run(
    lights: Path, evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(lights / "checkpoints" / "best.pt", tmp_path / "lights.pt")
    ended = called(capsys, "export", lights, "format=safetensors", f"output={tmp_path / 'hub'}")
    assert ended.code == 0, ended.err
    table = lights.parents[1] / "lights" / "all.csv"
    words = ("data=table", f"data.file={table}", f"data.label=[{','.join(LIGHTS)}]", "data.cache=ram")
    found = []
    for place in (lights, tmp_path / "lights.pt", tmp_path / "hub"):
        ended = evaluate(place, *words, f"output={tmp_path / 'out'}")
        assert ended.code == 0, ended.err
        found.append({key: written(tmp_path / "out")[key] for key in ("map", "loss", "micro_f1", "thresholds")})
    assert found[0] == found[1] == found[2] and found[0]["thresholds"] != [0.5] * 3


def test_one_threshold_stands_in_place_of_those_of_all_labels_and_its_scores_lie_apart(
    lights: Path, evaluate: Run
) -> None:
    ended = evaluate(lights)
    own, page = written(lights / "evaluation" / "val"), lights / "report.html"
    drawn = page.read_bytes() if page.exists() else b""
    ended = evaluate(lights, "threshold=0.9")
    assert ended.code == 0, ended.err
    found, (_, *table) = (read(lights / "evaluation" / "val-threshold-0.9") for read in (written, rows))
    assert found["thresholds"] == [0.9] * 3 != own["thresholds"] and (found["threshold"], own["threshold"]) == (
        0.9,
        None,
    )
    for row in table:
        assert split(row[2])[0] == {name for name, share in zip(LIGHTS, row[3:], strict=True) if float(share) >= 0.9}
    assert found["map"] == own["map"] and written(lights / "evaluation" / "val") == own
    assert (page.read_bytes() if page.exists() else b"") == drawn


def test_weights_without_a_validation_are_scored_from_one_half_on_and_say_so(
    lights: Path, evaluate: Run, tmp_path: Path
) -> None:
    last = lights / "checkpoints" / "last.pt"
    said = f"{last} tells of no validation to choose thresholds by: each label has 0.5."
    for runs in ([last], [lights, last]):
        ended = evaluate(*runs, f"output={tmp_path}")
        assert ended.out.count("tells of no validation") == 1 and said in ended.out
        assert said in written(tmp_path)["notes"]
    assert said not in evaluate(last, "threshold=0.4", f"output={tmp_path}").out


@pytest.mark.parametrize("tta", ["flip", "crops"])
def test_several_looks_are_scored_under_their_own_name(lights: Path, evaluate: Run, tta: str) -> None:
    ended = evaluate(lights, f"tta={tta}")
    assert ended.code == 0, ended.err
    found = written(lights / "evaluation" / f"val-{tta}")
    assert found["tta"] == tta and found["loss"] is None and found["map"] > 0.95


def test_a_label_that_is_wrong_on_purpose_is_found_and_is_the_surest_mistake(
    lights: Path, evaluate: Run, tmp_path: Path
) -> None:
    shown = draw(tmp_path, 24)
    shown[10]["green"] = 0
    words = (f"data.file={listed(tmp_path / 'other.csv', LIGHTS, shown)}", "data.cache=ram")
    ended = evaluate(lights, *words, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    found = written(tmp_path / "out")
    (suspect, *_), (mistake, *_), (worst, *_) = (found[key] for key in ("suspect_labels", "mistakes", "highest_losses"))
    for each in (suspect, mistake):
        assert (Path(each["path"]).name, each["label"], each["is_there"]) == ("10.png", "green", False)
    assert worst["path"] == mistake["path"] and worst["labels"] == []
    assert mistake["prediction"] == ["green"] and mistake["probability"] > 0.5
    assert f"{suspect['path']}: green not labelled, and probably there" in ended.out
    ended = evaluate(lights, "split=train", f"output={tmp_path / 'trained_on'}")
    assert "not looked for" in ended.out and written(tmp_path / "trained_on")["suspect_labels"] == []


def test_the_table_of_the_training_is_known_by_its_path_and_no_label_in_it_is_doubted(
    lights: Path, evaluate: Run, tmp_path: Path
) -> None:
    """Control: a copy of it elsewhere."""
    own = lights.parents[1] / "lights"
    copied = Path(shutil.copytree(own, tmp_path / "copied"))
    why_not = []
    for folder in (own, copied):
        assert evaluate(lights, f"data.file={folder / 'all.csv'}", f"output={tmp_path / 'out'}").code == 0
        why_not.append(written(tmp_path / "out")["no_suspects_because"])
    assert why_not[0].startswith("the model has learnt some of these") and why_not[1] is None


def test_classes_with_signs_in_their_names_survive_the_csv(train: Run, evaluate: Run, tmp_path: Path) -> None:
    names = ["?what", "a|b", "=1+1"]
    shown = [dict(zip(names, row.values(), strict=True)) for row in draw(tmp_path, 32)]
    table = listed(tmp_path / "odd.csv", names, shown)
    data = ("preset=none", "task=multi", "data=table", f"data.file={table}", "data.size=12", "data.cache=ram")
    ended = train(*SMALL, "name=x", "epochs=1", "data.val=0.3", *data, tiny=False)
    assert ended.code == 0, ended.err
    assert evaluate(tmp_path / "outputs" / "x").code == 0
    heading, *table_rows = rows(tmp_path / "outputs" / "x" / "evaluation" / "val")
    assert set(heading[3:]) == set(names)
    for row in table_rows:
        wanted = {name for name, is_there in shown[int(Path(row[0]).stem)].items() if is_there}
        assert split(row[1]) == (wanted, frozenset()) and split(row[2])[0] <= set(names)


def test_two_runs_are_compared_by_exact_match_on_the_same_images(
    train: Run, evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in {"poor": ["epochs=1"], "better": ["epochs=2", "optim.lr=0.03"]}.items():
        train(f"name={name}", "task=multi", "data.images=200", *words)
    runs = [tmp_path / "outputs" / name for name in ("poor", "better")]
    capsys.readouterr()
    ended = called(capsys, "compare", *runs)
    assert ended.code == 0, ended.err
    assert "scores on validation" in ended.out and "mean average precision" in ended.out and "optim.lr" in ended.out
    assert "points of exact match above" in ended.out or "equally many" in ended.out
    for run in runs:
        assert evaluate(run, "split=test").code == 0
    ended = called(capsys, "compare", *runs)
    assert "scores on test" in ended.out and "McNemar's test" in ended.out
    low, high = written(runs[0] / "evaluation" / "test")["intervals"]["map"]
    assert f"{100 * low:.2f} to {100 * high:.2f}" in ended.out
    page = (tmp_path / "outputs" / "compare.html").read_text()
    assert "Validation mean average precision" in page and "has all labels right most often" in page


def test_only_labels_that_are_scored_count_in_a_comparison() -> None:
    from trainer.inference.multi.compared import answered

    heading = ["path", "labels", "prediction", "ant", "bee", "cat"]
    table = [["1.png", "ant|?bee|dog", "cat|bee|ant"], ["2.png", "", ""], ["3.png", "?ant|?bee", "ant"]]
    assert answered([heading, *table], {"missing_classes": ["cat"]}) == {
        "1.png": ("ant", "ant"),
        "2.png": ("no label", "no label"),
        "3.png": ("", ""),
    }


def test_a_class_that_is_called_no_label_is_not_taken_for_having_none() -> None:
    from trainer.inference.multi.compared import answered

    table = [["path", "labels", "prediction", "ant", "no label"], ["1.png", "no label", ""], ["2.png", "", ""]]
    (label, answer), (none, said_none) = answered(table, {"missing_classes": []}).values()
    assert label != answer == none == said_none == "no label"


def test_a_sweep_ranks_its_runs_by_mean_average_precision(train: Run, tmp_path: Path) -> None:
    ended = train("-m", "name=sweep", *MULTI, "optim.lr=1e-6,0.03", "report=true")
    assert ended.code == 0, ended.err
    folder = tmp_path / "outputs" / "multirun" / "sweep"
    with (folder / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    scores = [json.loads((folder / row["run"] / "summary.json").read_text())["best"]["val_map"] for row in table]
    assert scores == sorted(scores, reverse=True) and [row["rank"] for row in table] == ["1", "2"]
    assert [row["val_map"] for row in table] == [f"{score:.4f}" for score in scores]
    assert (folder / "sweep.html").exists()
