"""Cross-validation: folds are stratified, disjoint, covering, the same every time; and reported over a multirun."""

import csv
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import Ended

from trainer.data.folder import folder
from trainer.data.glyphs import glyphs
from trainer.data.splits import fold_of
from trainer.errors import ConfigError, DataError


def keys_and_labels(counts: list[int]) -> tuple[list[str], torch.Tensor]:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return [f"{index}.png" for index in range(len(labels))], labels


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(2, 9))
def test_folds_are_equal_in_size_and_in_every_class_and_what_is_alone_in_its_class_is_in_none(
    counts: list[int], folds: int
) -> None:
    keys, labels = keys_and_labels(counts)
    found = fold_of(keys, labels, folds)
    alone = torch.tensor([counts[label] == 1 for label in labels.tolist()])
    assert torch.equal(found == -1, alone)
    for members in (found[~alone], *[found[(labels == label) & ~alone] for label in range(len(counts))]):
        sizes = [int((members == fold).sum()) for fold in range(folds)]
        assert sum(sizes) == len(members) and max(sizes) - min(sizes) <= 1


@given(st.permutations(range(30)))
def test_the_order_of_the_listing_does_not_matter(order: list[int]) -> None:
    keys, labels = keys_and_labels([10, 20])
    found = dict(zip(keys, fold_of(keys, labels, 4).tolist(), strict=True))
    shuffled = [keys[index] for index in order]
    assert dict(zip(shuffled, fold_of(shuffled, labels[order], 4).tolist(), strict=True)) == found


def test_every_image_validates_once_and_is_trained_on_otherwise() -> None:
    sources = [glyphs(images=60, folds=4, fold=fold) for fold in range(4)]
    validated = Counter(key for source in sources for key in source.val.keys)
    assert len(validated) == 60 and set(validated.values()) == {1}
    for fold, source in enumerate(sources):
        assert source.test is not None and len(source.test) == 12
        assert not {*source.train.keys} & {*source.val.keys} and len(source.train) + len(source.val) == 60
        assert list(source.val.keys) == list(glyphs(images=60, folds=4, fold=fold).val.keys)


def test_a_set_with_a_validation_part_of_its_own_has_no_folds(tmp_path: Path) -> None:
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    with pytest.raises(ConfigError, match="validation part of its own"):
        folder(root=str(tmp_path), folds=2, fold=0)
    with pytest.raises(ConfigError, match=r"data\.val=0\.3: the set has a validation part of its own"):
        folder(root=str(tmp_path), val=0.3)


def test_more_folds_than_images_are_refused() -> None:
    with pytest.raises(DataError, match="only 20 training images"):
        glyphs(images=20, folds=21, fold=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.folds=3",), "data.folds: say which of them validates, data.fold=0 to 2"),
        (("data.fold=0",), "data.fold: 0 of no folds"),
        (("data.folds=3", "data.fold=3"), "data.fold: 3 is out of range. With data.folds=3 it is 0 to 2"),
        (("data.folds=3", "data.fold=-1"), "data.fold: -1 is not a whole number from 0 up"),
        (("data.folds=1", "data.fold=0"), "data.folds: 1 is not a whole number from 2 up"),
        (("data.folds=3", "data.fold=0", "data.val=0.3"), "data.val: 0.3 cannot act with data.folds=3"),
        (("data.folds=3", "data.fold=0", "data.val=test"), "data.val: test cannot act with data.folds=3"),
        (("-m", "data.folds=3", "data.fold=0,1,3"), "data.fold: 3 is out of range"),
    ],
)
def test_folds_that_cannot_act_are_said_before_the_first_run(
    train: Callable[..., Ended], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = train(*words)
    assert ended.code == 2 and ended.err.startswith(message) and len(ended.err.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_multirun_over_folds_reports_mean_and_spread(train: Callable[..., Ended], tmp_path: Path) -> None:
    ended = train("-m", "name=cv", "data.folds=2", "data.fold=0,1", "epochs=1", "limit_train=32")
    folder = tmp_path / "outputs" / "multirun" / "cv"
    assert ended.code == 0, ended.err
    with (folder / "results.csv").open() as file:
        scores = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    with (folder / "spread.csv").open() as file:
        (spread,) = csv.DictReader(file)
    assert len(scores) == 2 and spread["runs"] == "2 of 2"
    assert float(spread["mean"]) == pytest.approx(statistics.fmean(scores), abs=1e-4)
    assert float(spread["std"]) == pytest.approx(statistics.stdev(scores), abs=1e-4)
    assert "val_accuracy over data.fold" in ended.out
