"""Labels made wrong on purpose: how many, which, and of what."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended, fingerprint, write_idx
from torch import Tensor

from trainer.data.glyphs import glyphs
from trainer.data.mnist import mnist
from trainer.data.source import ArraySamples
from trainer.data.wrong_labels import mislabelled


def samples(count: int = 5000) -> ArraySamples:
    keys = [f"{index:05d}" for index in range(count)]
    return ArraySamples(torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.arange(count) % 10, keys)


def given(share: float) -> Tensor:
    return mislabelled(samples(), share, 10)[0].labels


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_share_of_wrong_labels_is_the_one_asked_for(share: float) -> None:
    wrong = given(share) != samples().labels
    assert float(wrong.double().mean()) == pytest.approx(share, abs=0.02)


def test_wrong_labels_are_of_every_other_class_alike() -> None:
    offsets = (given(0.9) - samples().labels) % 10
    counts = torch.bincount(offsets[offsets > 0], minlength=10)[1:]
    assert counts.min() > 430 and counts.max() < 570  # 500 each, to three standard errors


def test_a_larger_share_keeps_the_wrong_labels_of_a_smaller_one() -> None:
    few, many, right = given(0.2), given(0.5), samples().labels
    assert torch.equal(many[few != right], few[few != right])


def test_a_wrong_label_depends_on_the_key_alone() -> None:
    few, many = (mislabelled(samples(count), 0.5, 10)[0].labels for count in (50, 5000))
    assert torch.equal(few, many[:50])


def test_samples_without_a_label_stay_without() -> None:
    unlabelled = ArraySamples(torch.zeros(9, 1, 1, 1), torch.full((9,), -1), [str(index) for index in range(9)])
    assert (mislabelled(unlabelled, 0.9, 10)[0].labels == -1).all()


@pytest.mark.parametrize("val", [0.25, "test"])
def test_what_validates_and_tests_stays_right_and_so_do_the_pixels(val: float | str) -> None:
    right, wrong = glyphs(images=200, val=val), glyphs(images=200, val=val, wrong_labels=0.5)
    assert not torch.equal(wrong.train.labels, right.train.labels)
    assert torch.equal(wrong.val.labels, right.val.labels)
    assert right.test is None or (wrong.test is not None and torch.equal(wrong.test.labels, right.test.labels))
    assert wrong.train.keys == right.train.keys
    assert all(torch.equal(wrong.train.image(index), right.train.image(index)) for index in (0, 7))


def test_pixels_that_are_in_memory_are_not_copied(tmp_path: Path) -> None:
    write_idx(tmp_path)
    source = mnist(root=str(tmp_path), wrong_labels=0.5)
    assert source.train.whole.pixels.data_ptr() == source.val.whole.pixels.data_ptr()


@pytest.mark.slow
def test_a_run_says_how_many_labels_are_wrong_and_is_the_same_again(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    first = train("name=first", "data.wrong_labels=0.5")
    assert first.code == 0 and train("name=second", "data.wrong_labels=0.5").code == 0
    assert "of 87 training labels are wrong on purpose (data.wrong_labels=0.5)." in first.out
    assert fingerprint(tmp_path / "outputs" / "first") == fingerprint(tmp_path / "outputs" / "second")


def test_a_share_of_one_and_more_is_refused(train: Callable[..., Ended]) -> None:
    ended = train("data.wrong_labels=1")
    assert ended.code == 2 and "data.wrong_labels: 1 is not a number from 0 to below 1" in ended.err
