"""evaluate through the command line: what training reported, other pictures, ensembles, and what is refused."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Ended
from PIL import Image

from trainer.cli.main import main
from trainer.inference.spreadsheet import unescaped

Run = Callable[..., Ended]
SMALL = (*(word for word in TINY if not word.startswith("data.")), "epochs=1")
COLOURS = {"amber": (220, 160, 40), "blue": (40, 60, 220), "coral": (230, 90, 90)}


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Run:
    """Evaluates in this process."""

    def command(*words: str | Path) -> Ended:
        code = main(["evaluate", *map(str, words)])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


def draw(root: Path, count: int, names: Sequence[str] = tuple(COLOURS), side: int = 24, first: int = 0) -> Path:
    """Class folders of noisy colours, each told from the others by its colour alone."""
    for name in names:
        (root / name).mkdir(parents=True)
        colour = COLOURS.get(name, (0, 0, 0))
        for number in range(first, first + count):
            noise = np.random.default_rng(number).integers(-40, 40, (side, side + 4, 3))
            Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(
                root / name / f"{number}.png"
            )
    return root


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows three colours: TMP/outputs/colours, trained on TMP/colours."""
    folder = tmp_path_factory.mktemp("coloured")
    draw(folder / "colours", 20)
    data = (
        "preset=none",
        "data=folder",
        f"data.root={folder / 'colours'}",
        "data.size=12",
        "data.prepare=16",
        "data.cache=ram",
    )
    words = (*SMALL, "epochs=3", "optim.lr=0.02", "data.val=0.3", *data)
    assert main([f"output={folder / 'outputs'}", "name=colours", *words]) == 0
    return folder / "outputs" / "colours"


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


def rows(folder: Path) -> list[list[str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.reader(file))


WAYS = {
    "none": ("data.normalise=none",),
    "mean in bf16": ("data.normalise=mean", "precision=bf16"),
    "mean image and averaged weights": ("data.normalise=mean_image", "ema=0.9"),
    "mean image in bf16 with averaged weights": ("data.normalise=mean_image", "ema=0.9", "precision=bf16"),
    "mean and std of grey, smoothed": ("data.grey=true", "loss.smoothing=0.2"),
    "imagenet with class weights": ("data.normalise=imagenet", "loss.class_weights=balanced", "limit_train=150"),
    "torch's layers, fewer images": ("kernels=torch", "limit_val=17", "channels_last=false"),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", WAYS.values(), ids=WAYS.keys())
def test_accuracy_and_loss_are_those_that_training_reported_to_the_last_digit(
    train: Run, evaluate: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert train("name=x", "data.images=250", "epochs=1", *words).code == 0
    folder = tmp_path / "outputs" / "x"
    summary = json.loads((folder / "summary.json").read_text())
    for split, reported in {
        "val": (summary["best"]["val_accuracy"], summary["best"]["val_loss"]),
        "test": (summary["test"]["accuracy"], summary["test"]["loss"]),
    }.items():
        ended = evaluate(folder, f"split={split}")
        assert ended.code == 0, ended.err
        found = written(folder / "evaluation" / split)
        assert (found["accuracy"], found["loss"]) == reported
        assert found["images"] == len(rows(folder / "evaluation" / split)) - 1


def test_files_kept_larger_than_they_are_seen_give_the_same_too(coloured: Path, evaluate: Run, tmp_path: Path) -> None:
    best = json.loads((coloured / "summary.json").read_text())["best"]
    ended = evaluate(coloured, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    found = written(tmp_path / "out")
    assert (found["accuracy"], found["loss"]) == (best["val_accuracy"], best["val_loss"])
    assert f"loss as in training {best['val_loss']:.4f}" in ended.out


def test_the_files_hold_what_was_promised_and_agree_with_each_other(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    assert evaluate(coloured, f"output={tmp_path / 'out'}").code == 0
    found, table = written(tmp_path / "out"), rows(tmp_path / "out")
    promised = (
        "accuracy top5 balanced_accuracy loss nll brier ece temperature images per_class confusion classes intervals"
    )
    assert set(promised.split()) < set(found)
    assert table[0] == ["path", "label", "prediction", "probability", "amber", "blue", "coral"]
    assert all(Path(row[0]).exists() and Path(row[0]).parent.name == row[1] for row in table[1:])
    for row in table[1:]:
        figures = [float(each) for each in row[4:]]
        assert row[2] == found["classes"][figures.index(max(figures))] and float(row[3]) == max(figures)
        assert sum(figures) == pytest.approx(1, abs=3e-6)
    right = sum(row[1] == row[2] for row in table[1:])
    assert right / len(table[1:]) == found["accuracy"] and sum(map(sum, found["confusion"])) == found["images"]
    assert set(found["per_class"]["blue"]) == {"precision", "recall", "f1", "support"}
    assert found["highest_losses"][0]["loss"] >= found["highest_losses"][-1]["loss"]


@pytest.mark.slow
def test_the_temperature_is_fitted_on_val_stored_with_the_run_and_told_elsewhere(
    train: Run, evaluate: Run, finished: Path
) -> None:
    folder = finished
    evaluate(folder, "split=test")
    assert written(folder / "evaluation" / "test")["temperature"] is None
    told = evaluate(folder).out
    assert "fitted on 9 images (do not rely on it: 9 images are few to fit it on" in told
    assert "on the very images that it was fitted on" in told
    stored = json.loads((folder / "evaluation" / "temperature.json").read_text())
    assert stored["nll_after"] <= stored["nll_before"] == pytest.approx(written(folder / "evaluation" / "val")["nll"])
    assert stored["images"] == 9 and 0.05 <= stored["temperature"] <= 20
    evaluate(folder, "split=test")
    assert written(folder / "evaluation" / "test")["temperature"] == stored["temperature"]
    train("resume=" + str(folder), "epochs=4", "early_stop=null", tiny=False)
    evaluate(folder, "split=test")
    best = json.loads((folder / "summary.json").read_text())["best"]["epoch"]
    kept = written(folder / "evaluation" / "test")["temperature"]
    assert kept == (stored["temperature"] if best <= 2 else None), "other weights want another temperature"


def test_a_run_that_may_only_be_read_is_scored_into_another_folder(
    coloured: Path, evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(coloured, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    make = Path.mkdir

    def denied(path: Path, *rest: Any, **options: Any) -> None:  # root may write anywhere: so it is played
        if copy in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *rest, **options)

    monkeypatch.setattr(Path, "mkdir", denied)
    ended = evaluate(copy, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    assert "The temperature is not stored with the run" in ended.out and written(tmp_path / "out")["temperature"] > 0


@pytest.mark.row(17)
def test_other_pictures_are_matched_by_name_and_nothing_is_shifted(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    other = draw(tmp_path / "other", 5, ("aaa", "blue", "coral"), side=40, first=100)
    ended = evaluate(coloured, f"data.root={other}", "data.cache=ram")
    assert ended.code == 0, ended.err
    assert "does not know, left out of the scores with their 5 images: aaa" in ended.out
    assert "classes of the run that these pictures do not have: amber" in ended.out
    found, table = written(coloured / "evaluation" / "other"), rows(coloured / "evaluation" / "other")
    assert found["images"] == 10 and found["accuracy"] == 1.0
    assert found["unknown_classes"] == {"aaa": 5} and found["missing_classes"] == ["amber"]
    assert found["confusion"] == [[0, 0, 0], [0, 5, 0], [0, 0, 5]]
    assert [row[1] for row in table[1:]].count("aaa") == 5 and len(table) == 16


def test_another_set_of_the_same_name_gets_a_folder_of_its_own_and_the_page_says_which_it_was(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    run = shutil.copytree(coloured, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    sets = [draw(tmp_path / parent / "more", count, first=100) for parent, count in (("a", 2), ("b", 3))]
    for root in (*sets, sets[0]):
        assert evaluate(run, f"data.root={root}", "data.cache=ram").code == 0
    assert sorted(path.name for path in (run / "evaluation").iterdir()) == ["more", "more-2"]
    found = {name: written(run / "evaluation" / name) for name in ("more", "more-2")}
    assert [(each["pictures"], each["images"]) for each in found.values()] == [(str(sets[0]), 6), (str(sets[1]), 9)]
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert all(f'<th scope="row">{root}</th>' in page for root in sets)
    assert "accuracy, validation" in page and "accuracy, more" not in page


def test_what_cannot_be_read_is_told_line_by_line_and_listed_beside_the_scores(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    other = draw(tmp_path / "other", 3, first=100)
    (other / "blue" / "no.png").write_text("no picture")
    ended = evaluate(coloured, f"data.root={other}", "data.on_error=skip", f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    assert f"cannot be read:\n  {other / 'blue' / 'no.png'}: " in ended.out
    assert str(other / "blue" / "no.png") in (tmp_path / "out" / "left_out.txt").read_text()
    assert str(tmp_path / "out" / "left_out.txt") in ended.out.splitlines()[-1]


def test_a_model_of_one_answer_has_no_interval_of_its_balanced_accuracy(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    other = draw(tmp_path / "other", 6, ("blue", "coral"), first=100)
    for path in (other / "coral").iterdir():
        shutil.copy(other / "blue" / path.name, path)
    ended = evaluate(coloured, f"data.root={other}", "data.cache=ram", f"output={tmp_path / 'out'}")
    assert "balanced accuracy 50.00% (one answer for every picture)" in ended.out
    assert "balanced_accuracy" not in written(tmp_path / "out")["intervals"]


def test_weights_that_are_damaged_or_gone_are_told_apart_and_those_of_the_last_epoch_are_named(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    run = shutil.copytree(coloured, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    best, last = (run / "checkpoints" / name for name in ("best.pt", "last.pt"))
    best.write_bytes(best.read_bytes()[:-9])
    way_on = f"Put back a copy, or name the weights of the last epoch, which are whole: {last}\n"
    ended = evaluate(run)
    assert (ended.code, ended.err) == (4, f"{best} is damaged (it is not what was written). {way_on}")
    best.unlink()
    ended = evaluate(run)
    assert (ended.code, ended.err) == (4, f"{best} is missing. {way_on}")
    assert evaluate(last, f"output={tmp_path / 'out'}").code == 0
    assert written(tmp_path / "out")["epoch"] == json.loads((run / "summary.json").read_text())["epochs"]
    last.write_bytes(b"")
    assert evaluate(run).err == f"{best} is missing. Put back a copy, or train anew\n"


def test_a_folder_that_holds_nothing_is_told_to_be_empty_and_answers_are_no_labels(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "answers.csv").write_text("path,prediction,probability,error\n")
    ended = evaluate(coloured, f"data.root={tmp_path / 'empty'}")
    assert ended.code == 3 and f"{tmp_path / 'empty'} is empty." in ended.err and "answers.csv" not in ended.err
    draw(tmp_path / "flat", 1)
    (tmp_path / "flat" / "amber" / "0.png").rename(tmp_path / "empty" / "0.png")
    assert "answers.csv" not in evaluate(coloured, f"data.root={tmp_path / 'empty'}").err


def test_a_table_of_files_is_scored_whole_whatever_its_parts(coloured: Path, evaluate: Run, tmp_path: Path) -> None:
    draw(tmp_path / "pictures", 4, first=50)
    lines = ["path,label,split"]
    for name in COLOURS:
        lines += [f"pictures/{name}/{50 + number}.png,{name},{'test' if number else 'train'}" for number in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    words = (f"data.file={tmp_path / 'list.csv'}", "data.cache=ram", f"output={tmp_path / 'out'}")
    assert evaluate(coloured, *words).code == 0
    assert written(tmp_path / "out")["images"] == 12 and written(tmp_path / "out")["accuracy"] == 1.0
    assert evaluate(coloured, *words, "split=test").code == 0
    assert written(tmp_path / "out")["images"] == 9


def test_pictures_of_one_class_one_of_each_and_an_archive_can_be_scored(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    """None of which could be trained on: but nothing is held out of what is scored."""
    words = ("data.cache=ram", f"output={tmp_path / 'out'}")
    for count, names in ((4, ("blue",)), (1, ("amber", "coral"))):
        root = draw(tmp_path / f"set{count}", count, names, first=300)
        ended = evaluate(coloured, f"data.root={root}", *words)
        assert ended.code == 0, ended.err
        found = written(tmp_path / "out")
        assert found["images"] == count * len(names) and found["accuracy"] == 1.0
        assert found["missing_classes"] == [name for name in COLOURS if name not in names]
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "set4")
    ended = evaluate(coloured, f"data.root={archive}", f"data.cache_dir={tmp_path / 'cache'}", *words)
    assert ended.code == 0 and written(tmp_path / "out")["images"] == 4, ended.err


def test_a_set_of_which_nothing_is_held_out_is_not_trained_on(train: Run) -> None:
    ended = train("data.val=none")
    assert ended.code == 2 and "data.val: none holds nothing out" in ended.err


def test_an_ensemble_answers_by_the_mean_and_stands_beside_its_members(
    train: Run, evaluate: Run, tmp_path: Path
) -> None:
    """Members with other sizes, normalisations and arithmetic."""
    folders = []
    for number, words in enumerate((["data.size=12"], ["data.size=16", "data.normalise=mean_image", "seed=1"])):
        train(f"name=m{number}", "epochs=1", *words)
        folders.append(tmp_path / "outputs" / f"m{number}")
        evaluate(folders[-1], "split=test")
    ended = evaluate(*folders, "split=test")
    assert ended.code == 0, ended.err
    each = [rows(folder / "evaluation" / "test")[1:] for folder in folders]
    whole = rows(folders[0] / "evaluation" / "ensemble-test")[1:]
    for one, other, mean in zip(*each, whole, strict=True):
        assert one[:2] == other[:2] == mean[:2]
        expected = [(float(a) + float(b)) / 2 for a, b in zip(one[4:], other[4:], strict=True)]
        assert [float(figure) for figure in mean[4:]] == pytest.approx(expected, abs=2e-6)
    found = written(folders[0] / "evaluation" / "ensemble-test")
    alone = [written(folder / "evaluation" / "test") for folder in folders]
    assert [each["accuracy"] for each in found["runs"]] == [each["accuracy"] for each in alone]
    assert [each["nll"] for each in found["runs"]] == [each["nll"] for each in alone]
    assert found["loss"] is None and "together" in ended.out


@pytest.mark.slow
def test_ensembles_of_other_members_lie_apart_and_the_same_one_takes_its_own_place(
    train: Run, evaluate: Run, tmp_path: Path
) -> None:
    for number in range(3):
        train(f"name=m{number}", "epochs=1", f"seed={number}")
    first, second, third = (tmp_path / "outputs" / f"m{number}" for number in range(3))
    for other in (second, third, second):
        assert evaluate(first, other, "split=test").code == 0
    found = {each.name: written(each)["runs"][1]["path"] for each in (first / "evaluation").iterdir()}
    assert found == {"ensemble-test": str(second), "ensemble-test-2": str(third)}


def test_a_threshold_for_one_label_a_picture_is_refused_in_a_line(coloured: Path, evaluate: Run) -> None:
    ended = evaluate(coloured, "threshold=0.5")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("threshold: where each picture has one label")


@pytest.mark.slow
def test_members_that_would_see_other_images_or_know_other_classes_are_refused(
    train: Run, evaluate: Run, tmp_path: Path
) -> None:
    for name, words in {"a": ["data.folds=3", "data.fold=0"], "b": ["data.folds=3", "data.fold=1"]}.items():
        train(f"name={name}", "epochs=1", *words)
    train("name=c", "epochs=1", "data.classes=4")
    a, b, c = (tmp_path / "outputs" / name for name in "abc")
    ended = evaluate(a, b)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert f"{b}: the images of split=val are not those of {a}" in ended.err and "split=test" in ended.err
    assert evaluate(a, b, "split=test").code == 0
    ended = evaluate(a, c)
    assert ended.code == 2 and "cannot be in an ensemble" in ended.err and ended.err.count("\n") == 1
    assert not (a / "evaluation" / "ensemble-val").exists()


@pytest.mark.parametrize("tta", ["flip", "crops"])
def test_several_looks_are_scored_under_their_own_name(coloured: Path, evaluate: Run, tta: str) -> None:
    ended = evaluate(coloured, f"tta={tta}")
    assert ended.code == 0, ended.err
    found = written(coloured / "evaluation" / f"val-{tta}")
    assert found["tta"] == tta and found["loss"] is None and found["accuracy"] > 0.9


def test_best_pt_alone_scores_other_pictures_and_writes_beside_itself(
    coloured: Path, evaluate: Run, tmp_path: Path
) -> None:
    shutil.copy(coloured / "checkpoints" / "best.pt", tmp_path / "colours.pt")
    other = draw(tmp_path / "test", 3, first=70)
    ended = evaluate(tmp_path / "colours.pt", f"data.root={other}", "data.cache=ram")
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "colours-evaluation").iterdir()
    assert written(folder)["images"] == 9 and folder.name != "test", "which would be the run's own test part"
    ended = evaluate(tmp_path / "colours.pt")
    assert ended.code == 2 and "data.root" in ended.err and ended.err.count("\n") == 1


def test_labels_that_are_wrong_on_purpose_are_found(coloured: Path, evaluate: Run, tmp_path: Path) -> None:
    other = draw(tmp_path / "other", 12, first=200)
    (other / "blue" / "200.png").rename(other / "coral" / "moved.png")
    words = (f"data.root={other}", "data.cache=ram", f"output={tmp_path / 'out'}")
    assert evaluate(coloured, *words).code == 0
    (suspect,) = written(tmp_path / "out")["suspect_labels"]
    assert Path(suspect["path"]).name == "moved.png" and (suspect["label"], suspect["likely"]) == ("coral", "blue")
    assert written(tmp_path / "out")["mistakes"][0]["path"] == suspect["path"]
    ended = evaluate(coloured, "split=train", f"output={tmp_path / 'trained_on'}")
    assert "not looked for" in ended.out and written(tmp_path / "trained_on")["suspect_labels"] == []


def test_hostile_class_names_survive_the_csv_and_run_nothing(train: Run, evaluate: Run, tmp_path: Path) -> None:
    names = ["=1+1", "path", "a,\nb", "\x1b[31mred", "[bold]x"]
    for number, name in enumerate(names):
        draw(tmp_path / "odd", 6, (name,), first=10 * number)
    words = (
        "preset=none",
        "data=folder",
        f"data.root={tmp_path / 'odd'}",
        "data.size=12",
        "data.cache=ram",
        "data.val=0.3",
    )
    assert train(*SMALL, "name=x", *words, tiny=False).code == 0
    ended = evaluate(tmp_path / "outputs" / "x")
    assert ended.code == 0, ended.err
    assert "\x1b[31m" not in ended.out and "\\x1b[31mred" in ended.out and "[bold]x" in ended.out
    table = rows(tmp_path / "outputs" / "x" / "evaluation" / "val")
    assert "'=1+1" in table[0], "else a spreadsheet would work it out"
    assert [unescaped(each) for each in table[0][4:]] == sorted(names)
    assert {unescaped(row[1]) for row in table[1:]} == set(names)


def test_no_escape_code_of_a_class_name_reaches_the_terminal(train: Run, evaluate: Run, tmp_path: Path) -> None:
    """In a run's own lines, and in an error."""
    draw(tmp_path / "odd", 6, ("\x1b[31mred",))
    draw(tmp_path / "odd", 9, ("\x9bplain",))
    words = (
        "preset=none",
        "data=folder",
        f"data.root={tmp_path / 'odd'}",
        "data.size=12",
        "data.cache=ram",
        "data.val=0.3",
    )
    ended = train(*SMALL, "name=x", *words, "loss.class_weights=balanced", tiny=False)
    assert "\\x1b[31mred 1." in ended.out, "the class weights"
    draw(tmp_path / "other", 2, ("\x1b[2J",))
    refused = evaluate(tmp_path / "outputs" / "x", f"data.root={tmp_path / 'other'}")
    assert refused.code == 3 and "\\x1b[2J" in refused.err
    for text in (ended.out, ended.err, refused.out, refused.err):
        assert not {"\x1b", "\x9b"} & set(text)


REFUSED = {
    "no run": ((), 2, "evaluate: name a run"),
    "no run there": (("{tmp}/nothing",), 4, "is no run folder"),
    "not a part": (("{run}", "split=valid"), 2, "train | val | test"),
    "no test part": (("{run}", "split=test"), 2, "It has split=train and split=val."),
    "prepared otherwise": (
        ("{run}", "data.root={tmp}", "data.size=99"),
        2,
        "data.size: pictures are prepared as those",
    ),
    "unknown option": (("{run}", "outptu=x"), 2, "Did you mean 'output'?"),
    "unknown option of the data": (("{run}", "data.roto=x"), 2, "Did you mean 'root'?"),
    "no pictures": (("{run}", "data.root={tmp}/nowhere"), 3, "there is no folder"),
    "other classes": (("{run}", "data.root={tmp}/strange"), 3, "has no class of"),
    "output is a file": (("{run}", "output={tmp}/file"), 5, "is no folder"),
}


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_scored_is_one_line_and_leaves_nothing(
    coloured: Path, evaluate: Run, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    draw(tmp_path / "strange", 2, ("x", "y"))
    (tmp_path / "file").touch()
    before = {path for path in coloured.rglob("*") if path.is_file()}
    ended = evaluate(*(word.format(run=coloured, tmp=tmp_path) for word in words))
    assert ended.code == code and said in ended.err and ended.err.count("\n") == 1, ended.err
    assert {path for path in coloured.rglob("*") if path.is_file()} == before


@pytest.mark.row(17)
def test_a_set_that_has_changed_since_is_told(train: Run, evaluate: Run, tmp_path: Path) -> None:
    root = draw(tmp_path / "set", 10)
    words = ("preset=none", "data=folder", f"data.root={root}", "data.size=12", "data.cache=ram", "data.val=0.3")
    train(*SMALL, "name=x", *words, tiny=False)
    folder = tmp_path / "outputs" / "x"
    assert "have changed" not in evaluate(folder).out
    draw(tmp_path / "more", 4, ("aaa",))
    (tmp_path / "more" / "aaa").rename(root / "aaa")  # before all others in the order of the classes
    ended = evaluate(folder)
    assert ended.code == 0 and "The data have changed since" in ended.out
    assert "left out of the scores" in ended.out and written(folder / "evaluation" / "val")["unknown_classes"] == {
        "aaa": 1
    }
