"""What tiny networks tell: whether mirroring changes the class, and whether colours are needed."""

import numpy as np
import pytest
import torch
from drawn import arrows, seen_of
from torch import Tensor

from trainer.check import tiny
from trainer.check.colour import coloured, of_lost_colours, of_needless_colours
from trainer.check.mirrored import of_mirrored
from trainer.check.seen import Seen
from trainer.check.tiny import Answers, Lesson, lesson_of, taught


@pytest.fixture
def shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps for what is drawn here."""
    monkeypatch.setattr(tiny, "_STEPS", 50)
    monkeypatch.setattr(tiny, "_BATCH", 32)


def lesson(seen: Seen, *classes: str, grey: bool = False) -> Lesson:
    found = lesson_of(seen, classes, grey=grey)
    assert found
    return found


def judged(count: int, classes: int) -> Lesson:
    """So many pictures of each class, that judge."""
    labels, none = torch.arange(count * classes) % classes, torch.empty(0, dtype=torch.int64)
    names = tuple("abcdefgh"[:classes])
    return Lesson(names, torch.empty(0), labels, none, torch.arange(len(labels)))


@pytest.mark.usefixtures("shortly")
def test_left_and_right_arrows_are_told_from_their_mirror_images() -> None:
    taken = lesson(arrows(160), "left", "right")
    plain, mirrors = taught(taken), taught(taken, mirrors=True)
    (found,) = of_mirrored(taken, plain, mirrors, flips=True)
    assert (found.rule, found.severity, found.words) == ("mirror_changes_class", "fault", "aug.flip=0")
    assert "of left for right" in found.evidence
    assert list(of_mirrored(taken, plain, mirrors, flips=False)) == []


@pytest.mark.usefixtures("shortly")
def test_arrows_up_and_down_may_be_mirrored() -> None:
    taken = lesson(arrows(160, ways=("up", "down")), "up", "down")
    plain, mirrors = taught(taken), taught(taken, mirrors=True)
    assert list(of_mirrored(taken, plain, mirrors, flips=True)) == []
    (found,) = of_mirrored(taken, plain, mirrors, flips=False)
    assert (found.severity, found.words) == ("note", "aug.flip=0.5")


def test_mirror_images_that_look_like_another_class_but_cost_nothing_are_no_fault() -> None:
    """As boots: all face one way, so that a mirrored one is taken for a bag by whoever saw none."""
    taken = judged(100, 3)
    mirrored = torch.where(taken.labels == 0, 2, taken.labels)
    assert list(of_mirrored(taken, Answers(taken.labels, mirrored), answers(taken.labels, 3), flips=True)) == []


def test_mirroring_that_only_makes_learning_harder_is_a_warning() -> None:
    """As digits: most mirrored ones are no digits at all."""
    taken = judged(100, 3)
    (found,) = of_mirrored(taken, answers(taken.labels, 0), answers(taken.labels, 60), flips=True)
    assert found.severity == "warning"


def test_what_few_pictures_may_show_by_chance_is_no_finding() -> None:
    taken = judged(10, 3)
    assert list(of_mirrored(taken, answers(taken.labels, 1), answers(taken.labels, 6), flips=True)) == []


def test_a_network_at_chance_tells_nothing() -> None:
    taken = judged(100, 2)
    guesses = Answers(torch.zeros(200, dtype=torch.int64), torch.zeros(200, dtype=torch.int64))
    assert list(of_mirrored(taken, guesses, guesses, flips=False)) == []


def answers(truth: Tensor, wrong: int) -> Answers:
    """Right but for so many, mirrored or not."""
    given = truth.clone()
    given[:wrong] = (given[:wrong] + 1) % (int(truth.max()) + 1)
    return Answers(given, given)


@pytest.mark.usefixtures("shortly")
def test_colours_that_tell_the_classes_are_told_where_the_run_sees_grey() -> None:
    seen = tinted()
    in_grey = lesson(seen, "red", "blue", grey=True)
    (found,) = of_lost_colours(in_grey, taught(in_grey), taught(lesson(seen, "red", "blue")))
    assert (found.severity, found.words) == ("fault", "data.grey=false")


def test_colours_that_tell_nothing_are_no_finding() -> None:
    taken = judged(100, 2)
    assert list(of_lost_colours(taken, answers(taken.labels, 3), answers(taken.labels, 1))) == []


def test_grey_pictures_in_three_channels_are_a_note() -> None:
    seen = arrows(20)
    assert coloured(seen) == 0
    assert [each.words for each in of_needless_colours(seen)] == ["data.grey=true"]
    assert list(of_needless_colours(tinted())) == []


def test_a_lesson_leaves_the_test_part_and_small_classes_out() -> None:
    seen = arrows(60, ways=("left", "right", "up"))
    seen.parts[45:] = 2
    few = [(2,) if number < 5 else (number % 2,) for number in range(60)]
    taken = lesson_of(Seen(**{**vars(seen), "classes": few}), ("left", "right", "up"), grey=False)
    assert taken
    assert taken.classes == ("left", "right")
    assert len(taken.images) == 40


def test_pictures_with_several_labels_are_no_lesson() -> None:
    seen = arrows(40)
    several = Seen(**{**vars(seen), "classes": [(0, 1)] * 40})
    assert lesson_of(several, ("left", "right"), grey=False) is None


def test_a_lesson_draws_nothing_from_the_runs_own_numbers_and_comes_out_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiny, "_STEPS", 4)
    before = torch.get_rng_state()
    taken = lesson(arrows(40), "left", "right")
    once, twice = taught(taken), taught(taken)
    assert (torch.get_rng_state() == before).all()
    assert (once.plain == twice.plain).all()
    assert (once.mirrored == twice.mirrored).all()


def tinted() -> Seen:
    """Red pictures and blue ones, of the same greys."""
    rng = np.random.default_rng(0)
    colours = np.array([(150, 60, 60), (60, 86, 150)])  # of one luma
    noise = rng.integers(-30, 31, (160, 32, 32, 1)) + rng.integers(-20, 21, (160, 1, 1, 1))
    labels = [number % 2 for number in range(160)]
    return seen_of((colours[labels][:, None, None] + noise).astype(np.uint8), labels)
