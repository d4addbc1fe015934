"""The page of a run: one file that needs nothing else, and that nothing in a run can turn against its reader."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from shared import Ended, Reader

from trainer.cli.main import main
from trainer.doctor.finding import Finding
from trainer.records.folder import RunFolder
from trainer.report.page.charts import BOTTOM, LEFT, RIGHT, TOP, Line, line_chart, matrix, reliability_bars
from trainer.report.page.facts import RunFacts
from trainer.report.page.pictures import Mistake, Pictures, drawn, read_pictures, write_pictures
from trainer.report.page.scores import Scores
from trainer.report.page.settings import differing, unlike_defaults
from trainer.report.page.words import commands, small_print, verdict
from trainer.report.page.write import write_run_page

HOSTILE = '<script>alert("x")</script>\u202e\x1b[31m'


def facts_with(tmp_path: Path, *scores: Scores, **files: Any) -> RunFacts:
    given = {"config": {}, "about": {}, "summary": {}, "epochs": [], "steps": [], "outdated": (), **files}
    return RunFacts(RunFolder(tmp_path), scores=scores, **given)


@pytest.fixture
def hostile_set(tmp_path: Path) -> Path:
    """Pictures in class folders whose names are code to a browser, and a file name that is, too."""
    root, rng = tmp_path / "pictures", np.random.default_rng(0)
    for name in ("<script>alert(1)<", '"><img src=x onerror=alert(2)>', "=cmd|'&"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            file = f"{number}<b onclick='x'>.png"
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / name / file)
    return root


def test_a_run_ends_in_a_page_that_holds_all_it_shows_and_says_so(train: Callable[..., Ended], tmp_path: Path) -> None:
    ended = train("name=x", "report=true", "data.images=200")
    page = tmp_path / "outputs" / "x" / "report.html"
    assert f"{page} shows what came out; to name pictures with it, python -m trainer predict" in ended.out
    reader = Reader(page)
    titles = ("How it learnt", "Class by class", "Confusion matrix", "The mistakes that it was surest of")
    titles += ("Is it as sure as it is right?", "What it saw in training", "Settings", "What to do with it")
    assert [title for title in titles if title not in reader.text] == []
    assert f"python -m trainer evaluate {page.parent} split=test" in reader.text
    assert re.search(r"It is right on (\d+|all|none) (of )?\d+ test pictures", reader.text)
    assert page.stat().st_size < 5_000_000
    assert len(reader.all("img")) > 12
    for image in reader.all("img"):
        assert (image["src"] or "").startswith("data:image/webp;base64,")
        assert image["alt"] and image["width"] and image["height"]
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in reader.all("svg"))
    assert not reader.all("script") and "http" not in page.read_text().replace("http-equiv", "")


def test_with_report_false_there_is_no_page(train: Callable[..., Ended], tmp_path: Path) -> None:
    assert "report.html" not in train("name=x", "report=false").out
    assert not (tmp_path / "outputs" / "x" / "report.html").exists()


def test_names_that_are_code_are_shown_and_not_run(hostile_set: Path, tmp_path: Path) -> None:
    words = ["data=folder", f"data.root='{hostile_set}'", "data.size=12", "model.widths=[4,8]", "epochs=1"]
    words += [f"output={tmp_path}", "name=<i>x", "batch_size=16", "device=cpu", "data.cache=none", "workers=0"]
    assert main(words) == 0
    reader = Reader(tmp_path / "<i>x" / "report.html")
    assert (
        not reader.all("script")
        and all(each.get("class") for each in reader.all("i"))
        and "<script>alert(1)<" in reader.text
    )
    assert all((image["src"] or "").startswith("data:") for image in reader.all("img"))
    for _, attributes in reader.elements:
        assert not [key for key in attributes if key.startswith("on")]
    policy = next(meta for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none';")


def test_whatever_is_said_in_any_field_stays_text(tmp_path: Path) -> None:
    names = (HOSTILE, f"{HOSTILE} too")
    scores = Scores(
        HOSTILE, 4, 0.5, names, (0.1, 0.9),
        {name: {"precision": 0.5, "recall": None, "f1": 0.5, "support": 2} for name in names},
        [[1, 1], [1, 1]], [(names[0], names[1], 1)], 0.1, [(0.0, 0.5, 4, 0.4, 0.5)],
        others={HOSTILE: 0.5},
    )  # fmt: skip
    config = {"epochs": HOSTILE, "optim": {"name": HOSTILE, HOSTILE: HOSTILE}, HOSTILE: [HOSTILE]}
    about = {"classes": names, "versions": {"torch": HOSTILE}, "processor": HOSTILE, "device": HOSTILE}
    mistake = Mistake(HOSTILE, names[0], names[1], 0.9, 'data:image/webp;base64,"onload="alert(1)', "")
    pictures = Pictures((HOSTILE,), (), HOSTILE, (mistake,))
    facts = facts_with(tmp_path / HOSTILE.replace("/", ""), scores, scores, config=config, about=about)
    page = tmp_path / "page.html"
    write_run_page(facts, pictures, page)
    reader = Reader(page)
    assert not reader.all("script")
    assert "\u202e" not in page.read_text() and "\x1b" not in page.read_text() and r"\u202e" in reader.text
    assert not [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]


def test_pictures_from_a_strangers_file_fetch_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pictures.json"
    good = drawn(torch.rand(3, 8, 8))
    mistake = Mistake("a", "b", "c", 0.5, "https://example.org/x.png", good)
    write_pictures(path, Pictures(("original",), (), "test", (mistake,)))
    read = read_pictures(path)
    assert read.part == "test" and read.mistakes[0].picture == "" and read.mistakes[0].map == good
    for damaged in ("{", "[]", '{"mistakes": [3]}', '{"samples": [{"label": 1}]}', '{"headings": 3}'):
        path.write_text(damaged)
        assert read_pictures(path) == Pictures()


def test_the_sentence_says_what_a_beginner_needs(tmp_path: Path) -> None:
    def said(accuracy: float, pairs: list[tuple[str, str, int]], supports: tuple[int, int] = (50, 50)) -> str:
        per_class = {str(place): {"support": support} for place, support in enumerate(supports)}
        return verdict(facts_with(tmp_path, Scores("test", 100, accuracy, per_class=per_class, pairs=pairs)))

    assert said(0.97, [("3", "8", 2)]) == ("It is right on 97 of 100 test pictures; it most often takes “3” for “8”.")
    assert said(1.0, []) == "It is right on all 100 test pictures."
    assert said(0.5, []) == "It is right on 50 of 100 test pictures: no better than always giving one answer."
    assert said(0.55, [("a", "b", 9)]).endswith(
        ": hardly better than always giving one answer, which is right on 50 of 100."
    )
    assert "no better" in said(0.9, [("a", "b", 10)], (90, 10)) and "better" not in said(0.9, [], (50, 50))
    assert "nothing to show" in verdict(facts_with(tmp_path))
    told = " ".join(small_print(facts_with(tmp_path, Scores("validation", 50, 0.8, interval=(0.67, 0.89)))))
    assert "expect 67.0 to 89.0" in told and "chosen on the same images" in told and "50 images are few" in told


def test_a_run_that_failed_without_weights_is_told_so_and_offers_no_command_that_wants_them(tmp_path: Path) -> None:
    rate = Finding("rate_too_high", "fault", "It is too high.", "", 0.9, "optim.lr=0.01")
    facts = facts_with(tmp_path, summary={"status": "failed"}, epochs=[{"epoch": 1}], findings=(rate,))
    assert verdict(facts) == "The run failed before any of its weights were worth keeping."
    assert [(what, words.split(" ", 4)[-1]) for what, words in commands(facts)] == [
        ("Run it again", f"{tmp_path} name=again optim.lr=0.01")
    ]


def test_only_settings_that_were_changed_are_told() -> None:
    plain = yaml.safe_load((Path(__file__).parents[1] / "golden" / "format2" / "config.yaml").read_text())
    told = {key: (here, default) for key, here, default in unlike_defaults(plain)}
    assert "init" not in told and "output" not in told and told["epochs"] == ("2", "5")
    assert all(here != default for here, default in told.values())
    one, other = (
        {"optim": {"name": name, "lr": 0.1, **more}} for name, more in (("sgd", {"nesterov": True}), ("adam", {}))
    )
    assert differing([one, other]) == [("optim", "sgd", "adam")]
    assert differing([{"data": {"val": None}}, {"data": {"val": 0.1}}]) == []  # which is what null means


def test_a_chart_keeps_within_its_frame_and_breaks_where_a_number_is_missing() -> None:
    points = [(1, 0.5), (2, None), (3, float("inf")), (4, 0.9), (5, 0.2)]
    chart = line_chart("Loss", "epoch", [Line("training", "a", points)], mark=4)
    assert chart is not None and chart.mark is not None
    (line,) = chart.lines
    assert line.path.count("M") == 2 and line.path.count("L") == 1
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in line.dots)
    assert "training from 0.5 to 0.2" in chart.alternative
    assert line_chart("Loss", "epoch", [Line("training", "a", [(1, None)])]) is None
    flat = line_chart("Accuracy", "epoch", [Line("a", "a", [(1, 1.0), (2, 1.0)])], percent=True)
    assert flat is not None and len({tick.label for tick in flat.ticks_up}) == len(flat.ticks_up)


def test_the_matrix_and_the_bars_show_every_number() -> None:
    drawn_matrix = matrix([[3, 1], [0, 0]], ["a" * 40, "b"])
    assert [(cell.count, cell.share, cell.right) for cell in drawn_matrix.cells] == [
        (3, 0.75, True), (1, 0.25, False), (0, 0.0, False), (0, 0.0, True)
    ]  # fmt: skip
    assert [name for _, name, _ in drawn_matrix.names] == ["a" * 13 + "…", "b"]
    (bar,) = reliability_bars([(0.0, 0.5, 0, None, None), (0.5, 1.0, 4, 0.8, 1.0)])
    assert bar.top == pytest.approx(TOP) and bar.bottom == pytest.approx(BOTTOM - TOP)
    assert bar.expected == pytest.approx(BOTTOM - 0.8 * (BOTTOM - TOP))


def test_the_page_of_a_run_without_an_epoch_or_of_an_earlier_release_can_be_drawn(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished
    summary = json.loads((folder / "summary.json").read_text())
    kept = {key: value for key, value in summary.items() if key not in ("per_class", "confusion", "reliability", "ece")}
    (folder / "summary.json").write_text(json.dumps({**kept, "most_confused": None, "test": None}))
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"written: {folder / 'report.html'}\n"
    assert "Class by class" not in Reader(folder / "report.html").text
    for name in ("summary.json", "metrics.jsonl", "run.json"):
        (folder / name).unlink()
    assert main(["report", str(folder), f"output={tmp_path / 'other.html'}"]) == 0
    assert "nothing to show of it yet" in Reader(tmp_path / "other.html").text


def test_the_page_is_written_in_two_seconds(train: Callable[..., Ended], tmp_path: Path) -> None:
    train("name=x", "report=true")
    folder = tmp_path / "outputs" / "x"
    main(["report", str(folder)])
    begun = time.process_time()
    main(["report", str(folder)])
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report"], 2, "report: name a run: python -m trainer report RUN\n"),
        (["report", "nowhere"], 4, "nowhere is no run folder, nor a best.pt.\n"),
        (["report", "x", "split=test"], 2, "report: there is no option 'split'. It takes output, plugins.\n"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    assert capsys.readouterr().err == said
    assert list(tmp_path.iterdir()) == []


def test_two_runs_are_not_written_into_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        run.mkdir()
        (run / "config.yaml").touch()
    assert main(["report", *map(str, runs), f"output={tmp_path / 'x.html'}"]) == 2
    assert capsys.readouterr().err == "report: output is the page of one run. Name one, or leave it out.\n"
