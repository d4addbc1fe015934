"""The pictures of docs/practices.md: drawn of what was measured, by the commands that stand below them."""

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from shared import Ended

from docs import practice_pictures
from docs.figure import BOTTOM, HEIGHT, ROW, Figure, Line, apart, drawn
from docs.practice_pictures import (
    FOLDER,
    PAGE,
    PRACTICES,
    Practice,
    commands_of,
    figure_of,
    gathered,
    of_layers,
    of_runs,
)
from trainer.cli.main import main
from trainer.records.folder import RunFolder

approx = partial(pytest.approx, rel=1e-3)
"""Four digits are kept."""

SVG = "{http://www.w3.org/2000/svg}"
SHOWN = [
    found.groupdict()
    for found in re.finditer(
        r"^!\[(?P<alternative>[^]]+)\]\(practices/(?P<name>\w+)\.svg\)\n\n(?P<text>.+?)\n\n```sh$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
]
FIGURE = re.compile(r"\d+\.\d+|\d+(?= %)")
"""A number that was measured, in a text: with a decimal point or in per cent."""


def shown_in(name: str) -> Figure:
    return figure_of(PRACTICES[name], practice_pictures.kept()[name])


def test_the_page_shows_every_picture_and_no_other() -> None:
    shown = sorted(found["name"] for found in SHOWN)
    assert shown == sorted(PRACTICES) == sorted(path.stem for path in FOLDER.glob("*.svg"))


@pytest.mark.parametrize("name", PRACTICES)
def test_a_picture_is_drawn_of_what_was_measured(name: str) -> None:
    drawing = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert drawing == drawn(shown_in(name)), "run python -c 'from docs.practice_pictures import draw; draw()'"


@pytest.mark.parametrize("found", SHOWN, ids=lambda found: found["name"])
def test_the_words_beside_a_picture_have_no_figure_that_was_not_measured(found: dict[str, str]) -> None:
    measured = set(FIGURE.findall(shown_in(found["name"]).in_words()))
    said = FIGURE.findall(re.sub(r"`[^`]*`", "", found["alternative"] + found["text"]))
    assert said and set(said) <= measured


@pytest.mark.parametrize("name", PRACTICES)
def test_the_commands_below_a_picture_make_each_of_its_lines(name: str) -> None:
    said = [word.partition("=") for command in commands_of(name) for word in command.lower().split()]
    words = {f"{key}={value}" for key, _, values in said for value in values.split(",")}
    assert {*" ".join(PRACTICES[name].lines).lower().split()} <= words


@pytest.mark.parametrize("name", PRACTICES)
def test_a_picture_has_words_and_colours_for_both_schemes_and_asks_no_network(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.findtext(f"{SVG}title") and root.findtext(f"{SVG}desc")
    assert "@media (prefers-color-scheme: dark)" in text
    assert re.findall(r"https?:[^\s\"]+", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.slow
def test_runs_become_points_by_epoch_or_by_the_values_of_a_key(train: Callable[..., Ended], tmp_path: Path) -> None:
    assert train("-m", "name=x", "optim.lr=0.001,0.01", "epochs=1").code == 0
    runs = [tmp_path / "outputs" / "multirun" / "x" / number for number in "01"]
    timid, bold = (RunFolder(run).read_summary()["last"]["val_loss"] for run in runs)
    by_epoch = Practice("", "", {"optim.lr=0.01": "bold", "": "others"}, score="val_loss")
    assert gathered(by_epoch, of_runs(by_epoch, runs)) == {
        "bold": [(1, [approx(bold)])],
        "others": [(1, [approx(timid)])],
    }
    together = Practice("", "", {"epochs=1": "all"}, score="val_loss")
    assert gathered(together, of_runs(together, runs)) == {"all": [(1, [approx(timid), approx(bold)])]}
    by_rate = Practice("", "", {"": "all"}, along="optim.lr", score="val_loss")
    assert gathered(by_rate, of_runs(by_rate, runs)) == {"all": [("0.001", [approx(timid)]), ("0.01", [approx(bold)])]}


@pytest.mark.slow
def test_what_inspect_prints_becomes_points_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = ("model=mlp", "model.depth=3", "model.width=8", "model.image_size=12", "data.images=96", "data.size=12")
    assert main(["inspect", "init=zeros,lsuv", *net, f"output={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    practice = Practice("", "", {"init=zeros": "none", "init=lsuv": "LSUV"}, along="layer", score="std")
    lines = gathered(practice, of_layers(practice, printed))
    assert lines["none"] == [(1, [0.0]), (2, [0.0]), (3, [0.0])]
    assert all(value > 0.3 for _, [value] in lines["LSUV"]) and len(lines["LSUV"]) == 3


def test_names_at_the_ends_of_lines_lie_apart_and_within_the_picture() -> None:
    for heights in ([100.0, 101.0, 99.0], [BOTTOM, BOTTOM - 1.0], [70.0, 200.0]):
        placed = apart(heights)
        order = sorted(range(len(heights)), key=heights.__getitem__)
        gaps = [placed[below] - placed[above] for above, below in pairwise(order)]
        assert min(gaps) >= 2 * ROW and max(placed) + ROW < HEIGHT


def test_a_figure_says_its_values_in_words() -> None:
    lines = [Line("a", [(0, [0.5, 0.7]), (1, [0.25])])]
    figure = Figure("", "share", "rate", lines, ticks=[(0, "low"), (1, "high")])
    assert figure.in_words() == "share, over rate: a at low: 60.0 % (50.0 % to 70.0 %), high: 25.0 %"
