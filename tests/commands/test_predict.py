"""predict through the command line: where pictures come from, how answers are written, and what cannot be read."""

import csv
import io
import json
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import trainer
from trainer.cli.main import main
from trainer.inference import choice
from trainer.inference.spreadsheet import unescaped

ODD = ("=sum, with\na newline", "path", "unsure")
"""Class names that are columns, formulas, and answers of predict's own."""
COLOURS = dict(zip(ODD, ((220, 160, 40), (40, 60, 220), (230, 90, 90)), strict=True))
RUN = ("model.widths=[4,8]", "batch_size=16", "epochs=3", "optim.lr=0.02", "device=cpu", "precision=fp32")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


KEYS = ("prediction", "probability")
Predict = Callable[..., Ended]


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Predict:
    """Predicts in this process, by torch unless the words say otherwise."""

    def command(*words: str | Path) -> Ended:
        code = main(["predict", "engine=torch", *map(str, words)])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


def picture(path: Path, name: str = "path", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-40, 40, (24, 28, 3))
    Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows three colours."""
    folder = tmp_path_factory.mktemp("predicting")
    for name in COLOURS:
        for number in range(16):
            picture(folder / "colours" / name / f"{number}.png", name, number)
    data = (
        "preset=none",
        "data=folder",
        f"data.root={folder / 'colours'}",
        "data.size=12",
        "data.prepare=16",
        "data.cache=ram",
    )
    assert main([f"output={folder}", "name=run", *RUN, *data]) == 0
    return folder / "run"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures that can be read, one that cannot, and what is to be left alone."""
    root = tmp_path / "photos"
    for place, name in zip(("b/one.png", "a.PNG", "b/two.png"), ODD, strict=True):
        picture(root / place, name)
    picture(root / ".hidden" / "no.png")
    picture(root / "b" / ".no.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (root / "notes.txt").write_text("no picture")
    return root


def rows(text: str) -> list[dict[str, str]]:
    found = list(csv.DictReader(io.StringIO(text)))
    return [{key: unescaped(value) for key, value in row.items()} for row in found]


def names(answers: list[dict[str, str]], root: Path) -> list[str]:
    return [str(Path(row["path"]).relative_to(root)) for row in answers]


def test_a_folder_is_answered_in_order_with_what_cannot_be_read_among_it(
    predict: Predict, run: Path, photos: Path
) -> None:
    ended = predict(run, photos)
    answers = rows(ended.out)
    assert ended.code == 3
    assert names(answers, photos) == ["a.PNG", "b/one.png", "b/two.png", "broken.jpg"]
    assert [row["prediction"] for row in answers] == ["path", ODD[0], "unsure", ""]
    assert answers[3]["error"].startswith("not an image") and not answers[0]["error"]
    assert "4 pictures, 1 of them not read, in" in ended.err and "by torch on cpu" in ended.err
    assert predict(run, photos, "on_error=skip").code == 0


def test_answers_are_those_of_load_to_six_digits_whatever_the_classes_are_called(
    predict: Predict, run: Path, photos: Path
) -> None:
    (answer,) = trainer.load(run)(photos / "b" / "one.png")
    (row,) = rows(predict(run, photos / "b" / "one.png", "topk=9").out)
    told = [
        (row["prediction"], row["probability"]),
        *((row[f"prediction_{n}"], row[f"probability_{n}"]) for n in (2, 3)),
    ]
    assert told == [(name, f"{probability:.6f}") for name, probability in answer.top(3)]
    assert [*row] == ["path", "prediction", "probability", *(f"{what}_{n}" for n in (2, 3) for what in KEYS), "error"]


def test_json_lines_have_the_keys_of_the_csv(predict: Predict, run: Path, photos: Path, tmp_path: Path) -> None:
    assert predict(run, photos, "topk=2", f"output={tmp_path / 'a.jsonl'}", "on_error=skip").code == 0
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    header = predict(run, photos, "topk=2").out.splitlines()[0].split(",")
    assert all([*line] == header for line in lines)
    assert [line["prediction"] for line in lines] == ["path", ODD[0], "unsure", None]
    assert [line["error"] is None for line in lines] == [True, True, True, False]
    assert lines[0]["probability"] == round(lines[0]["probability"], 6)


def packed(photos: Path, target: Path) -> Path:
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(photos))
            archive.write(files[0], "../out.png")
    else:
        with tarfile.open(target, "w:gz" if target.suffix == ".tgz" else "w") as archive:
            for path in files:
                archive.add(path, path.relative_to(photos))
            archive.add(files[0], "../out.png", filter=lambda info: info)
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    return target


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tgz"])
def test_an_archive_is_read_as_its_folder_would_be_and_what_leads_out_is_refused(
    name: str, predict: Predict, run: Path, photos: Path, tmp_path: Path
) -> None:
    archive = packed(photos, tmp_path / name)
    answers = rows(predict(run, archive).out)
    refused = [row for row in answers if "refused" in row["error"]]
    assert [row["path"].removeprefix(f"{archive}/") for row in refused] == ["../out.png", "link.png"][: len(refused)]
    assert len(refused) == (1 if name == "p.zip" else 2)
    plain = rows(predict(run, photos).out)
    inside = sorted((row for row in answers if row not in refused), key=lambda row: row["path"])
    for one, other in zip(inside, plain, strict=True):
        assert one == {**other, "path": f"{archive}/{Path(other['path']).relative_to(photos)}"}
    assert not [path for path in tmp_path.iterdir() if path.name not in ("photos", name)]


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tgz"])
def test_of_an_archive_that_is_cut_short_the_rest_is_answered_and_the_reason_told(
    name: str, predict: Predict, run: Path, photos: Path, tmp_path: Path
) -> None:
    archive = packed(photos, tmp_path / name)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3])
    ended = predict(run, archive, photos / "a.PNG")
    answers = rows(ended.out)
    assert ended.code == 3 and "Traceback" not in ended.err
    assert any(row["path"] == str(archive) and row["error"] for row in answers)
    assert answers[-1]["prediction"] == "path"


def test_paths_come_from_standard_input(
    predict: Predict, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{photos / 'a.PNG'}\n\nmissing.png\r\n".encode())))
    answers = rows(predict(run, "-").out)
    assert [(row["prediction"], row["error"]) for row in answers] == [("path", ""), ("", "No such file or directory.")]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert predict(run, "-").code == 3


def test_below_the_threshold_the_answer_is_unsure_and_the_likeliest_class_is_told(
    predict: Predict, run: Path, photos: Path
) -> None:
    (sure,) = rows(predict(run, photos / "a.PNG").out)
    ended = predict(run, photos / "a.PNG", photos / "broken.jpg", "threshold=1")
    unsure, broken = rows(ended.out)
    assert unsure == {**sure, "prediction": "unsure", "likeliest": "path"} and broken["likeliest"] == ""
    assert ended.out.splitlines()[0].endswith(",likeliest,error")
    (line,) = predict(run, photos / "a.PNG", "threshold=1", "format=jsonl").out.splitlines()
    assert json.loads(line)["likeliest"] == "path" and [*json.loads(line)][-2:] == ["likeliest", "error"]
    heads, cells = predict(run, photos / "a.PNG", "threshold=1", "topk=1", "format=table").out.splitlines()
    assert heads.split() == ["prediction", "likeliest", "picture"] and cells.split()[::2] == ["unsure", "path"]


def links_in(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path.resolve() for path in folder.rglob("*") if path.is_symlink()}


def test_sorting_links_every_picture_and_keeps_what_is_there(predict: Predict, run: Path, photos: Path) -> None:
    sorted_into = photos / "sorted"
    for _ in range(2):  # the second time all is there, and the folder's own pictures are none of those to classify
        ended = predict(run, photos, f"sort={sorted_into}")
        assert ended.code == 3
        counts = r"=sum, with_a newline 1, path 1, unsure-2 1, unreadable 1"
        assert f"sorted into {sorted_into} as links: {counts} (copy=true copies)\n" in ended.err
        assert links_in(sorted_into) == {
            "path/a.PNG": photos / "a.PNG",
            "=sum, with_a newline/one.png": photos / "b" / "one.png",
            "unsure-2/two.png": photos / "b" / "two.png",
            "unreadable/broken.jpg": photos / "broken.jpg",
        }


def test_a_picture_that_is_sorted_anew_lies_in_one_class_and_a_file_of_the_user_stays(
    predict: Predict, run: Path, photos: Path
) -> None:
    sorted_into = photos / "sorted"
    (sorted_into / "unsure").mkdir(parents=True)
    (sorted_into / "unsure" / "a.PNG").write_text("mine")
    for _ in range(2):
        predict(run, photos, f"sort={sorted_into}")
    assert "path/a.PNG" in links_in(sorted_into)
    predict(run, photos, f"sort={sorted_into}", "threshold=1")
    assert {name for name in links_in(sorted_into) if not name.startswith("unreadable/")} == {
        "unsure/a-2.PNG", "unsure/one.png", "unsure/two.png"
    }  # fmt: skip
    assert (sorted_into / "unsure" / "a.PNG").read_text() == "mine"


def test_copies_are_not_put_beside_earlier_ones(predict: Predict, run: Path, photos: Path, tmp_path: Path) -> None:
    words = (run, photos / "a.PNG", f"sort={tmp_path / 'sorted'}", "copy=true")
    assert f"sorted into {tmp_path / 'sorted'} as copies: path 1\n" in predict(*words).err
    ended = predict(*words, "threshold=1")
    assert (ended.code, ended.out) == (
        5,
        "",
    ) and f"sort: {tmp_path / 'sorted' / 'path' / 'a.PNG'} is there" in ended.err
    assert [path.name for path in (tmp_path / "sorted").iterdir()] == ["path"]


def test_copies_never_replace_a_file_and_come_out_of_archives_too(
    predict: Predict, run: Path, photos: Path, tmp_path: Path
) -> None:
    archive, target = packed(photos, tmp_path / "p.zip"), tmp_path / "sorted"
    predict(run, photos, archive, f"sort={target}", "copy=true")
    assert sorted(path.name for path in (target / "path").iterdir()) == ["a-2.PNG", "a.PNG"]
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert all(path.read_bytes() == (photos / "a.PNG").read_bytes() for path in (target / "path").iterdir())
    assert not (tmp_path / "out.png").exists()


def test_the_table_lets_no_escape_code_reach_the_terminal(predict: Predict, run: Path, tmp_path: Path) -> None:
    shutil.copy(picture(tmp_path / "plain.png"), tmp_path / "red\x1b[31m.png")
    ended = predict(run, tmp_path, "format=table", f"output={tmp_path / 'a.txt'}")
    text = (tmp_path / "a.txt").read_text()
    assert ended.code == 0 and "\x1b" not in text and r"red\x1b[31m.png" in text
    assert r"=sum, with\na newline" in predict(run, tmp_path, "format=table", "threshold=0").out
    assert len(text.splitlines()) == 3


def test_a_name_that_is_not_utf8_is_told(predict: Predict, run: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(odd, "wb") as file:  # noqa: PTH123  # a name in bytes
        file.write(picture(tmp_path / "a.png").read_bytes())
    for form in ("csv", "jsonl", "table"):
        target = tmp_path / f"answers.{form}"
        assert predict(run, tmp_path, "topk=1", f"format={form}", f"output={target}").code == 0
        assert len(target.read_text().splitlines()) == 2 + (form != "jsonl")


@pytest.mark.parametrize("name", ["-a.png", "=a.png", "@a.png", "+a.png", "'a.png"])
def test_a_path_in_the_csv_is_found_as_it_is_written_and_is_no_formula(
    name: str, predict: Predict, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / name)
    (row,) = csv.DictReader(io.StringIO(predict(run, name).out))
    assert row["path"] == f"./{name}" and Path(row["path"]).is_file() and row["prediction"] == "path"


def test_one_picture_that_cannot_be_read_is_counted_as_one(predict: Predict, run: Path, photos: Path) -> None:
    assert "1 picture, not read, in" in predict(run, photos / "broken.jpg").err


@pytest.mark.parametrize("tta", ["none", "flip", "crops"])
def test_an_answer_depends_on_its_picture_alone(tta: Any, run: Path, tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{number}.png", ODD[number % 3], number) for number in range(37)]
    classify = trainer.load(run, tta=tta)
    together = classify(paths)
    for path, answer in list(zip(paths, together, strict=True))[::9]:
        (alone,) = classify(path)
        assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-5)


def test_looks_are_averaged_as_probabilities(run: Path, tmp_path: Path) -> None:
    image = Image.open(picture(tmp_path / "a.png"))
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    one, other = trainer.load(run)([image, mirrored])
    (both,) = trainer.load(run, tta="flip")([image])
    mean = {name: (one.probabilities[name] + other.probabilities[name]) / 2 for name in one.probabilities}
    assert both.probabilities == pytest.approx(mean, abs=1e-6)


def test_calibrated_answers_want_the_temperature_that_evaluate_stores(
    predict: Predict, run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    assert "evaluate" in predict(copied, photos / "a.PNG", "calibrated=true").err
    assert main(["evaluate", str(copied), "split=val"]) == 0
    capsys.readouterr()
    temperature = json.loads((copied / "evaluation" / "temperature.json").read_text())["temperature"]
    (plain,) = trainer.load(copied)(photos / "a.PNG")
    ended = predict(copied, photos / "a.PNG", "calibrated=true")
    assert f"calibrated by temperature {temperature:.3f}, fitted on" in ended.err and "do not rely on it" in ended.err
    (mended,) = rows(ended.out)
    scaled = {name: probability ** (1 / temperature) for name, probability in plain.probabilities.items()}
    assert float(mended["probability"]) == pytest.approx(max(scaled.values()) / sum(scaled.values()), abs=2e-5)


@pytest.mark.slow
def test_onnx_runtime_answers_as_torch_does_and_its_network_is_kept(
    predict: Predict, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = predict(run, photos, "engine=onnxruntime")
    assert "Exporting" in first.err and "by onnxruntime on cpu" in first.err
    for one, other in zip(rows(first.out), rows(predict(run, photos).out), strict=True):
        assert one["prediction"] == other["prediction"]
        assert float(one["probability"] or 0) == pytest.approx(float(other["probability"] or 0), abs=1e-5)
    (kept,) = (tmp_path / "cache" / "trainer" / "engines").iterdir()
    monkeypatch.setattr(choice, "_FEW", 1)
    monkeypatch.setattr(choice, "_seconds_a_look", lambda run, engine: float("torch" in engine.name))
    again = predict(run, photos, "engine=auto")
    assert "Exporting" not in again.err and "by onnxruntime on cpu" in again.err
    monkeypatch.setattr(choice, "_seconds_a_look", lambda run, engine: float("onnx" in engine.name))
    assert "by torch" in predict(run, photos, "engine=auto").err
    kept.write_bytes(b"damaged")
    damaged = predict(run, photos, "engine=auto")
    assert "was damaged" in damaged.err and "by torch" in damaged.err and not kept.exists()
    assert main(["cache", "clear"]) == 0


def test_auto_does_not_export_for_a_few_pictures_or_a_small_network(
    predict: Predict, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "_FEW", 1)
    ended = predict(run, photos, "engine=auto")
    assert "by torch" in ended.err and not (tmp_path / "cache" / "trainer" / "engines").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["RUN"], 2, "name a run and pictures"),
        (["RUN", "EMPTY"], 3, "no pictures there"),
        (["EMPTY", "PHOTOS"], 4, "holds no run"),
        (["PHOTOS/a.PNG", "PHOTOS"], 4, "not a checkpoint"),
        (["RUN", "PHOTOS", "output=answers.xml"], 2, "does not say its format"),
        (["RUN", "PHOTOS", "output=EMPTY"], 2, "format"),
        (["RUN", "PHOTOS", "format=csv", "output=EMPTY"], 5, "is a folder"),
        (["RUN", "PHOTOS", "output=EMPTY/no/a.csv"], 5, "no folder"),
        (["RUN", "PHOTOS", "copy=true"], 2, "sort=FOLDER"),
        (["RUN", "PHOTOS", "topk=0"], 2, "topk"),
        (["RUN", "PHOTOS", "treshold=0.5"], 2, "Did you mean 'threshold'"),
        (["RUN", "PHOTOS", "--topk", "2"], 2, "Options are written without dashes: topk=2"),
        (["RUN", "PHOTOS", "--topk=2"], 2, "Options are written without dashes: topk=2"),
        (["RUN/checkpoints", "PHOTOS"], 4, "Did you mean 'RUN'?"),
        (["RUN/..", "PHOTOS"], 4, "is a folder of runs: run. Name one of them: RUN/../run"),
        (["RUN/export/model.onnx", "PHOTOS"], 4, "is an export, for other programs to read. Name the run: RUN"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    words: list[str], code: int, said: str, predict: Predict, run: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (run / "export").mkdir(exist_ok=True)
    (run / "export" / "model.onnx").touch()
    for name, place in (("RUN", run), ("PHOTOS", photos), ("EMPTY", tmp_path / "empty")):
        words, said = [word.replace(name, str(place)) for word in words], said.replace(name, str(place))
    ended = predict(*words)
    assert (ended.code, ended.out) == (code, "") and said in ended.err and len(ended.err.splitlines()) == 1
    assert not list((tmp_path / "empty").iterdir())


def test_nothing_half_written_is_left_when_it_is_stopped(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.inference.classifier import Classifier

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "answers.csv"
    target.write_text("of before")
    monkeypatch.setattr(Classifier, "probabilities", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(["predict", str(run), str(photos), f"output={target}", "engine=torch"])
    assert target.read_text() == "of before" and not list(tmp_path.glob("*.tmp"))
