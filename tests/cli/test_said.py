"""What was said, and what was not: an option is never taken for unsaid since it says what would hold anyway."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shared import TINY, Ended

from trainer.cli.main import main
from trainer.config import check, essential
from trainer.data.folder import folder
from trainer.data.listing import in_two_classes, in_two_parts
from trainer.data.source import ArraySamples
from trainer.data.splits import cross_validate
from trainer.errors import DataError

NULL_MEANS = {"data.val": 0.1, "aug.padding": "reflection"}

Train = Callable[..., Ended]


def put(root: Path, part: str, shades: dict[str, list[int]]) -> None:
    """Images of one colour, by class: the same number is the same file."""
    for name, numbers in shades.items():
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for index, number in enumerate(numbers):
            Image.new("RGB", (12, 12), (number, 7, 7)).save(root / part / name / f"{index}.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    put(tmp_path / "photos", "", {"bird": [0], "cat": [*range(1, 21)], "dog": [*range(21, 41)]})
    return tmp_path / "photos"


@pytest.fixture
def run(train: Train) -> Callable[..., Ended]:
    def command(root: Path, *words: str) -> Ended:
        return train("data=folder", f"data.root={root}", *TINY[3:], "epochs=1", *words, tiny=False)

    return command


def told(ended: Ended, word: str) -> list[str]:
    assert ended.code == 0, ended.err
    return [line for line in ended.out.splitlines() if word in line]


@pytest.mark.parametrize("share", ["0.1", "0.2"])
def test_a_share_that_is_said_beside_a_validation_part_is_refused_whatever_it_is(
    run: Callable[..., Ended], tmp_path: Path, share: str
) -> None:
    for part in ("train", "val"):
        put(tmp_path / "set", part, {"cat": [1, 2, 3], "dog": [4, 5, 6]})
    ended = run(tmp_path / "set", f"data.val={share}")
    assert (ended.code, ended.err) == (
        2, f"data.val={share}: the set has a validation part of its own. Leave data.val out.\n"
    )  # fmt: skip
    assert told(run(tmp_path / "set", "data.val=null"), "own validation part")


def test_a_share_that_is_said_beside_folds_is_refused_whatever_it_is(train: Train) -> None:
    ended = train("data.folds=3", "data.fold=0", "data.val=0.1")
    assert ended.err.startswith("data.val: 0.1 cannot act with data.folds=3, where a fold validates.")


def test_what_lies_beyond_the_edges_is_not_chosen_where_nothing_looks_there(train: Train) -> None:
    ended = train("aug=custom", "aug.padding=reflection")
    assert ended.code == 2 and ended.err.startswith("aug.padding=reflection: nothing looks beyond the edges.")
    assert train("aug=custom", "aug.rotate=5", "aug.padding=reflection", "epochs=1").code == 0


def test_an_option_that_copies_cannot_follow_is_refused_if_it_is_said_at_all(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("augment", "data=folder", f"data.root={photos}")
    assert main([*words, "output=copies", "data.fit=crop"]) == 2
    assert capsys.readouterr().err.startswith("augment: data.fit cannot act on copies of files.")
    assert main([*words]) == 2
    assert capsys.readouterr().err.startswith("augment: say where the copies go")
    assert main([*words, "output=outputs"]) == 0 and (tmp_path / "outputs" / "bird").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("data.folds=2", "data.fold=0", "aug=none"), {"data": {"val": 0.1}}),
        (("aug=custom", "aug.flip=0.5"), {"data": {"val": 0.1}, "aug": {"padding": "reflection"}}),
    ],
)
def test_a_run_of_an_older_version_which_stored_what_nobody_said_goes_on(
    train: Train, tmp_path: Path, words: tuple[str, ...], before: dict[str, dict[str, object]]
) -> None:
    assert train("name=x", "epochs=1", *words).code == 0
    path = tmp_path / "outputs" / "x" / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    for room, options in before.items():
        assert all(stored[room][option] is None for option in options)
        stored[room] |= options
    path.write_text(yaml.safe_dump(stored))
    assert main([f"resume={path.parent}", "epochs=2"]) == 0
    assert main(["--config-path", str(path.parent), "name=again", "-m", "seed=1"]) == 0
    assert train("name=x", "resume=auto", "epochs=3", *words).code == 0


def test_null_is_compared_by_its_effect_on_the_steps() -> None:
    from test_config import composed

    plain = composed()
    assert {key: essential(check(plain))[key] for key in NULL_MEANS} == NULL_MEANS
    plain["data"]["val"] = 0.1
    assert essential(check(plain))["data.val"] == 0.1


@pytest.mark.slow
def test_a_run_that_stored_mean_std_goes_on_where_nothing_is_said(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "epochs=1", "data.normalise=mean_std").code == 0
    assert train("name=x", "resume=auto", "epochs=2").code == 0
    assert train(f"resume={tmp_path / 'outputs' / 'x'}", "epochs=3", tiny=False).code == 0
    ended = train("name=x", "resume=auto", "epochs=4", "data.mean=[0.5,0.5,0.5]", "data.std=[1,1,1]")
    assert ended.code == 2 and "data.mean: None before, [0.5, 0.5, 0.5] now" in ended.err


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(2, 5))
@settings(deadline=None)
def test_every_class_has_an_image_to_train_on_in_every_fold(counts: list[int], folds: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    keys = [f"{index}.png" for index in range(len(labels))]
    whole = ArraySamples(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels, keys)
    divided = sum(count for count in counts if count > 1)
    for fold in range(folds):
        if divided < folds:
            with pytest.raises(DataError, match=rf"data\.folds={folds}: there are only {divided} training images"):
                cross_validate(folds, fold, whole)
            continue
        train, val, _ = cross_validate(folds, fold, whole)
        assert {*train.labels.tolist()} == {*range(len(counts))} and len(val)
        assert sorted([*train.keys, *val.keys]) == sorted(keys)


@pytest.mark.parametrize("words", [(), ("data.folds=2", "data.fold=0"), ("data.folds=2", "data.fold=1")])
def test_a_class_of_one_image_is_trained_on_and_that_is_said(
    run: Callable[..., Ended], photos: Path, words: tuple[str, ...]
) -> None:
    (line,) = told(run(photos, *words), "single image")
    assert line == "Classes with a single image, which trains and never validates: bird (1 of 3)."


def test_classes_that_a_limit_leaves_out_are_named(run: Callable[..., Ended], photos: Path) -> None:
    (line,) = told(run(photos, "limit_train=2", "limit_val=3"), "only so many")
    left_out = re.fullmatch(
        r"limit_train=2, limit_val=3: only so many of these images are used, every class in its share; "
        r"limit_train leaves 1 of the 3 classes without any: (bird|cat|dog)\.",
        line,
    )
    assert left_out
    (line,) = told(run(photos, "limit_train=3"), "only so many")
    assert line == "limit_train=3: only so many of these images are used, every class in its share."


def test_one_file_in_two_classes_is_told(run: Callable[..., Ended], tmp_path: Path) -> None:
    put(tmp_path / "set", "", {"bird": [1, 2, 3], "cat": [1, 4, 5, 5], "dog": [1, 5, 6, 7]})
    source = folder(root=str(tmp_path / "set"))
    (line,) = in_two_classes(source)
    assert re.match(r"\d training images lie in several classes, byte for byte, so that only one of their labels", line)
    assert told(run(tmp_path / "set"), "several classes")
    put(tmp_path / "clean", "", {"bird": [1, 1, 2], "cat": [3, 4], "dog": [5, 6]})
    assert in_two_classes(folder(root=str(tmp_path / "clean"))) == []


def test_a_file_of_both_validation_and_test_is_told(run: Callable[..., Ended], tmp_path: Path) -> None:
    put(tmp_path / "set", "train", {"cat": [1, 2, 3], "dog": [4, 5, 6]})
    put(tmp_path / "set", "val", {"cat": [7, 8], "dog": [9]})
    put(tmp_path / "set", "test", {"cat": [7, 10], "dog": [9, 12]})
    assert in_two_parts(folder(root=str(tmp_path / "set"))) == told(run(tmp_path / "set"), "byte for byte") == [
        "2 of the 4 test images are validation images too, byte for byte, which flatters the test scores: "
        "cat/0.png (cat/0.png in validation), dog/0.png (dog/0.png in validation)"
    ]  # fmt: skip


def test_folds_of_single_images_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "set", "", {"cat": [1], "dog": [2]})
    with pytest.raises(DataError, match="only 0 training images that are not alone in their class"):
        folder(root=str(tmp_path / "set"), folds=2, fold=0)
