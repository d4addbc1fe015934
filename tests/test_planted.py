"""The labelled runs of `make doctor`: what is planted is there, and what is said of it is counted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.doctor import runs
from benchmarks.doctor.cases import Case, Fault, Ground
from benchmarks.doctor.drawn import SETS, Planting, Wanted, draw
from benchmarks.doctor.faults import FAULTS
from benchmarks.doctor.page import filled, parts_of
from benchmarks.doctor.plan import SOUND, planned
from benchmarks.doctor.verdicts import Verdict, in_lines, in_table, verdict_on
from trainer.doctor.finding import Finding, Severity
from trainer.doctor.rules import RULES

TINY = Ground("tiny", "tuning", ("model.widths=[4,8]", "batch_size=16", "epochs=1"), 1e-3, "shapes", train=40)
RATE = Fault("rate /1000", ("rate_too_low",), ("tiny",), lambda ground: (f"optim.lr={ground.rate / 1000:g}",))


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., dict[str, dict[str, list[bytes]]]]:
    """Draws shapes with a fault planted, and gives the pictures of each class of each part."""

    def command(planting: Planting | None) -> dict[str, dict[str, list[bytes]]]:
        folder = tmp_path / f"{planting}"
        draw(Wanted("shapes", 0, planting, 50, 25), folder)
        parts = {part.name: sorted(part.iterdir()) for part in sorted(folder.iterdir())}
        return {
            name: {place.name: [file.read_bytes() for file in sorted(place.iterdir())] for place in places}
            for name, places in parts.items()
        }

    return command


def every(part: dict[str, list[bytes]]) -> set[bytes]:
    return {picture for pictures in part.values() for picture in pictures}


@pytest.mark.parametrize("name", SETS)
def test_a_set_looks_the_same_when_it_is_drawn_again_and_differs_by_its_seed(name: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 0), ("again", 0), ("other", 1)):
        draw(Wanted(name, seed, None, 10, 10), tmp_path / folder)
    one, again, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.png"))]
        for folder in ("one", "again", "other")
    )
    assert one == again and len(one) == 20
    assert not {*one} & {*other}


def test_sound_parts_share_no_picture_and_have_every_class_alike(drawn: Any) -> None:
    parts = drawn(None)
    assert not every(parts["train"]) & every(parts["val"])
    assert {len(pictures) for pictures in parts["train"].values()} == {10}


def test_what_leaks_stands_in_both_parts(drawn: Any) -> None:
    parts = drawn("leak")
    assert len(every(parts["train"]) & every(parts["val"])) > 10


def test_the_missing_class_is_there_once_in_training(drawn: Any) -> None:
    parts = drawn("missing")
    assert [len(pictures) for pictures in parts["train"].values()] == [10, 10, 10, 10, 1]
    assert {len(pictures) for pictures in parts["val"].values()} == {5}


def test_few_are_few_in_training_alone(drawn: Any) -> None:
    parts = drawn("few")
    assert {len(pictures) for pictures in parts["train"].values()} == {6}
    assert sum(map(len, parts["val"].values())) == 25


@pytest.mark.parametrize(("planting", "share"), [("noise", 0.3), ("shuffled", 0.8)])
def test_as_many_labels_are_wrong_as_were_to_be(planting: Planting, share: float, tmp_path: Path) -> None:
    draw(Wanted("shapes", 0, planting, 200, 100), tmp_path / "set")
    files = list((tmp_path / "set").rglob("*.png"))
    wrong = sum(int(path.stem) % 5 != int(path.parent.name[-1]) for path in files) / len(files)
    assert wrong == pytest.approx(share, abs=0.08)


def test_each_half_has_its_own_grounds_sets_and_seeds() -> None:
    tuning, held_out = planned("tuning"), planned("held out")
    for of in (
        lambda case: case.ground.name,
        lambda case: case.ground.drawn or case.ground.words,
        lambda case: case.seed,
    ):
        assert not {of(case) for case in tuning} & {of(case) for case in held_out}
    names = [case.name for case in (*tuning, *held_out)]
    assert len(names) == len({*names}) > 150


def test_each_fault_and_kind_is_tried_in_both_halves_and_can_be_named() -> None:
    for half in ("tuning", "held out"):
        cases = planned(half)
        assert {case.fault.name for case in cases if case.fault} == {fault.name for fault in FAULTS}
        assert {case.kind for case in cases if not case.fault} >= {kind for kind, *_ in SOUND} - {"given pictures"}
    assert {name for fault in FAULTS for name in fault.rules} <= {rule.__name__ for rule in RULES}


def test_what_a_fault_says_of_a_room_takes_the_place_of_what_its_ground_says() -> None:
    ground = replace(TINY, words=("model=mlp", "model.width=8", "aug=light", "aug.flip=0"))
    fault = replace(RATE, words=lambda ground: ("model=small_cnn", "aug.flip=1"))
    words = Case(ground, 0, fault).all_words
    assert "model.width=8" not in words and words.index("aug.flip=0") < words.index("aug.flip=1")


@pytest.mark.slow
def test_a_run_is_made_once_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ProcessPoolExecutor", lambda processes, mp_context: ThreadPoolExecutor(processes))
    cases = [Case(TINY, 0, RATE), Case(TINY, 0, kind="as it stands")]
    assert {*runs.train_missing(cases, tmp_path, 1)} == {case.name for case in cases}
    assert [*runs.train_missing(cases, tmp_path, 1)] == []
    assert all(verdict_on(case, tmp_path).findings for case in cases)


def test_words_that_are_wrong_end_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ProcessPoolExecutor", lambda processes, mp_context: ThreadPoolExecutor(processes))
    with pytest.raises(Exception, match="epocs"):
        [*runs.train_missing([Case(TINY, 0, words=("epocs=1",))], tmp_path, 1)]


def said(*rules: str, severity: Severity = "fault") -> tuple[Finding, ...]:
    return tuple(Finding(rule, severity, "What.", "10 of 10", 0.9, "optim.lr=1") for rule in rules)


def test_faults_and_accusations_are_counted_and_misses_listed() -> None:
    planted, sound = Case(TINY, 0, RATE), Case(TINY, 3, kind="long")
    cases = [
        Verdict(planted, said("rate_too_low", "overfit")),
        Verdict(planted, said("overfit", "rate_too_low")),
        Verdict(planted, said("overfit"), 0.995),
        Verdict(sound, said("healthy", severity="note")),
        Verdict(sound, said("overfit", severity="warning")),
    ]
    assert "| rate /1000 | 3 | 1 of 3 | 2 of 3 |  |" in in_table(cases)
    assert "Named by one verb or the other: 2 of 3. Sound runs that are accused of something: 1 of 2." in in_table(
        cases
    )
    assert in_lines(cases) == [
        "- rate /1000: tiny, seed 0, is not named first, but `overfit`, `rate_too_low`",
        "- rate /1000: tiny, seed 0, is not named, but `overfit`; validation ends at 99.5%",
        "- sound, long: tiny, seed 3, is accused of `overfit`",
    ]


def test_what_check_names_counts_where_no_record_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    leak = replace(RATE, name="leak", rules=(), before=("leak",))
    found = Verdict(Case(TINY, 0, leak), said("healthy", severity="note"), checked=("leak",))
    assert "| leak | 1 | 0 of 1 | 0 of 1 | 1 of 1 |" in in_table([found])
    assert in_lines([found]) == []


def test_the_page_has_every_rule_and_its_example_between_its_markers() -> None:
    page = "# The doctor\n\n<!-- rules: made by make doctor -->\nof before\n<!-- end -->\n\nafter\n"
    text = filled(page, parts_of([Verdict(Case(TINY, 0, RATE), said("overfit"))]))
    assert "of before" not in text and text.endswith("<!-- end -->\n\nafter\n")
    assert all(f"| `{rule.__name__}` |" in text for rule in RULES)
    assert "| 10 of 10 | `optim.lr=1` |" in text
