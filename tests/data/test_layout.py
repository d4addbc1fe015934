"""Parts and classes: which folder is which, however people name them, and what is refused, with words that read it."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import Ended

from trainer.data.folder import folder
from trainer.data.hints import name_label
from trainer.data.part_names import parts_of
from trainer.data.source import Source
from trainer.errors import ConfigError, DataError

Train = Callable[..., Ended]
TINY = ("data=folder", "model.widths=[2]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32", "workers=0")
NUMBERS = ("0", "1", "2", "3")
EACH_IN_ONE = ("cat_test", "cat_train", "dog_test", "dog_train")
NAMES = tuple(f"{name}.{number}" for name in ("cat", "dog") for number in range(3))


def fill(path: Path, names: tuple[str, ...] = NUMBERS) -> None:
    """Different pictures of these names in a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        seed = sum(map(ord, f"{path.parent.name}/{path.name}/{name}"))
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{name}.png")


def classes(path: Path, *names: str) -> None:
    for name in names or ("cat", "dog"):
        fill(path / name)


def make(root: Path, layout: dict[str, object]) -> Path:
    """Folders as the mapping says: {} holds cat/ and dog/, a tuple of names holds pictures, a text is a file's own."""
    for name, inside in layout.items():
        if isinstance(inside, tuple):
            fill(root / name, inside)
        elif isinstance(inside, str):
            (root / name).write_text(inside)
        elif inside:
            assert isinstance(inside, dict)
            make(root / name, inside)
        else:
            classes(root / name)
    return root


def counts(source: Source) -> tuple[int, int, int | None]:
    return len(source.train), len(source.val), None if source.test is None else len(source.test)


@pytest.mark.parametrize(
    ("layout", "refused"),
    [
        ({"train": NUMBERS, "test1": NUMBERS}, "pictures lie flat in .*/train.*data=table"),
        ({"train": NAMES, "test1": NUMBERS}, r"cat \(3\), dog \(3\): if these are the classes, say data.label=name"),
        (
            {"train": NUMBERS, "test": NUMBERS, "labels.csv": "id,breed\n"},
            "data=table data.file=.*labels.csv data.root=.*train",
        ),
        ({"train": NUMBERS}, "train looks like a part of a set"),
        ({"train": NUMBERS, "images": NUMBERS}, "train looks like a part of a set"),
        ({"train": NUMBERS, "unlabeled": NUMBERS}, "train looks like a part of a set"),
        ({"Train_Images": NUMBERS, "IMAGES-test": NUMBERS}, "look like parts of a set"),
        ({"dev": {}, "eval": {}}, r"no train/CLASS folders.*'data.parts={train: dev, test: eval}'"),
        ({"dev": NUMBERS, "eval": NUMBERS}, r"no train/CLASS folders.*'data.parts={train: dev, test: eval}'"),
        ({"cat": NUMBERS, "dog": NUMBERS, "test": NUMBERS}, r"'data.parts={train: ., test: test}'.*data.parts=none"),
        ({"A": {}, "B": {}}, r"the same folders below each of A, B: cat, dog.*data.label=inner.*data.label=outer"),
        ({"00": {}, "01": {}, "02": {}}, r"the same folders below each of 00, 01, 02: cat, dog.*data.label=inner"),
        (
            {"batch1": NAMES, "batch2": NAMES},
            r"names begin with cat \(6\), dog \(6\).*data.label=name.*data.label=outer",
        ),
        ({"images": NUMBERS, "masks": NUMBERS}, "do not look like classes"),
        (
            {"a": {"train": {}, "test": {}}, "b": {"train": {}, "test": {}}},
            "sets of their own, say which: data.root=.*/a",
        ),
        (dict.fromkeys(EACH_IN_ONE, NUMBERS), "parts of the classes cat, dog"),
        ({"trainA": NUMBERS, "trainB": NUMBERS, "testA": NUMBERS, "testB": NUMBERS}, "both look like the train part"),
        (
            {"train": {"steam": NUMBERS, "diesel": NUMBERS}, "car": {"suv": NUMBERS}},
            "data.parts={train: train}.*if it is a class",
        ),
        ({"train": {"train": {}, "val": {}}, "test": {}}, "has parts itself, train, val. Say data.root=.*train"),
    ],
)
def test_parts_that_could_be_taken_for_classes_are_refused_with_the_words_that_read_them(
    tmp_path: Path, layout: dict[str, object], refused: str
) -> None:
    root = make(tmp_path / "set", layout)
    with pytest.raises(DataError, match=refused) as caught:
        folder(root=str(root))
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "expected", "told"),
    [
        (
            {"train": {}, "dev": {}, "eval": ("1", "2")},
            (8, 8, None),
            "eval has no class folders, so there is nothing to test on",
        ),
        ({"train": {}, "dev": {}, "eval": {}}, (8, 8, 8), "own validation part"),
        ({"train": {}, "eval": {}, "test": {}}, (8, 8, 8), "own validation part"),
        ({"train": {}, "test1": ("1", "2")}, (6, 2, None), "test1 has no class folders"),
        (
            {"train": {}, "dev": ("1", "2")},
            (6, 2, None),
            "dev has no class folders, so there is nothing to validate on",
        ),
        ({"train_images": {}, "test_images": {}}, (6, 2, 8), "Held out"),
        ({"Training Set": {}, "Validation-Set": {}, "TestSet": {}}, (8, 8, 8), "own validation part"),
        ({"trn": {}, "vld": {}, "tst": {}}, (8, 8, 8), "own validation part"),
        ({"tr": {}, "va": {}, "te": {}}, (8, 8, 8), "own validation part"),
        ({"train-v2": {}, "val2017": {}, "holdout": {}}, (8, 8, 8), "own validation part"),
        (
            {"train": {}, "raw": NUMBERS, "thumbs": NUMBERS},
            (6, 2, None),
            "left out 2 folders beside train: raw, thumbs",
        ),
        ({"train": {}, "test": {}, "test1": {}}, (6, 2, 8), "left out 1 folders beside train: test1"),
        ({"cat": NUMBERS, "dog": NUMBERS, "test": {}}, (6, 2, 8), "cat, dog are for training, beside test"),
        (
            {"cat": {"train": NUMBERS, "test": ("1",)}, "dog": {"train": NUMBERS, "test": ("1",)}},
            (6, 2, 2),
            "below the classes",
        ),
    ],
)
def test_parts_are_read_by_any_of_their_names_and_one_without_classes_is_left_out_and_said(
    tmp_path: Path, layout: dict[str, object], expected: tuple[int, int, int | None], told: str
) -> None:
    source = folder(root=str(make(tmp_path, layout)))
    assert source.classes == ("cat", "dog") and counts(source) == expected
    assert any(told in note for note in source.notes)


@pytest.mark.parametrize(
    "names",
    [
        ("car", "train"),
        ("beaker", "test_tube"),
        ("station", "train_station"),
        ("hi", "te", "tr"),
        ("contest", "latest"),
        ("large", "small"),
        ("dev_board", "testify"),
        ("tränen", "valley"),
    ],
)
def test_classes_whose_names_only_resemble_parts_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    classes(tmp_path, *names)
    assert folder(root=str(tmp_path)).classes == names


@pytest.mark.parametrize(
    ("layout", "words", "expected"),
    [
        ({"A": {}, "B": {}}, {"parts": {"train": "A", "test": "B"}}, ("cat", "dog")),
        ({"A": {}, "B": {}}, {"label": "inner"}, ("cat", "dog")),
        ({"A": {}, "B": {}}, {"label": "outer"}, ("A", "B")),
        ({"train": NUMBERS, "test": NUMBERS}, {"parts": "none"}, ("test", "train")),
        ({"train": NAMES, "test1": NUMBERS}, {"label": "name"}, ("cat", "dog")),
        (
            {"images": ("Abyssinian_1", "Abyssinian_2", "great_dane_1", "great_dane_2")},
            {"label": "name"},
            ("Abyssinian", "great_dane"),
        ),
        ({"cat": NUMBERS, "dog": NUMBERS, "test": NUMBERS}, {"parts": {"train": ".", "test": "test"}}, ("cat", "dog")),
        ({"batch1": NAMES, "batch2": NAMES}, {"label": "outer"}, ("batch1", "batch2")),
        (dict.fromkeys(EACH_IN_ONE, NUMBERS), {"label": "outer"}, EACH_IN_ONE),
    ],
)
def test_the_words_that_a_refusal_names_read_the_set(
    tmp_path: Path, layout: dict[str, object], words: dict[str, object], expected: tuple[str, ...]
) -> None:
    root = make(tmp_path, layout)
    assert folder(root=str(root), **words).classes == expected  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_refusal_on_the_command_line_names_words_that_a_shell_takes_and_that_train(
    train: Train, tmp_path: Path
) -> None:
    root = make(tmp_path / "set", {"dev": {}, "eval images": {}})
    ended = train(*TINY, f"data.root={root}", tiny=False)
    assert ended.code == 3 and len(ended.err.splitlines()) == 1
    words = re.search(r"as in ('data\.parts=[^']*')", ended.err)
    assert words
    ended = train(*TINY, f"data.root={root}", *shlex.split(words[1]), tiny=False)
    assert ended.code == 0 and "2 classes (cat, dog)" in ended.out and "8 test images" in ended.out


@pytest.mark.slow
def test_flat_pictures_beside_test1_no_longer_train_on_nonsense(train: Train, tmp_path: Path) -> None:
    root = make(tmp_path / "dogs-vs-cats", {"train": NAMES, "test1": NUMBERS})
    ended = train(*TINY, f"data.root={root}", tiny=False)
    assert ended.code == 3 and "data.label=name" in ended.err
    assert not any((tmp_path / "outputs").glob("*/*/checkpoints"))
    ended = train(*TINY, f"data.root={root}", "data.label=name", tiny=False)
    assert ended.code == 0 and "2 classes (cat, dog)" in ended.out and "test1 has no class folders" in ended.out


@pytest.mark.parametrize("parts", [{"test": "B"}, {"train": "A", "tset": "B"}])
def test_parts_that_are_said_wrongly_are_refused(tmp_path: Path, parts: dict[str, str]) -> None:
    root = make(tmp_path, {"A": {}, "B": {}})
    with pytest.raises(ConfigError, match=r"data\.parts: "):
        folder(root=str(root), parts=parts)
    with pytest.raises(DataError, match=r"there is no folder .*Train_A for train.* has A, B"):
        folder(root=str(root), parts={"train": "Train_A"})


@pytest.mark.slow
def test_a_part_that_lacks_a_class_is_taken_and_told_but_training_must_have_all(train: Train, tmp_path: Path) -> None:
    classes(tmp_path / "set/train", "ant", "bee", "cat")
    classes(tmp_path / "set/val", "ant", "bee")
    classes(tmp_path / "set/test", "cat")
    (tmp_path / "set/test/ant").mkdir()
    ended = train(*TINY, f"data.root={tmp_path / 'set'}", "name=x", tiny=False)
    assert ended.code == 0, ended.err
    assert "The val part has no images of cat, so it tells nothing of them." in ended.out
    assert "The test part has no images of ant, bee, so it tells nothing of them." in ended.out
    assert json.loads((tmp_path / "outputs/x/run.json").read_text())["classes"] == ["ant", "bee", "cat"]
    classes(tmp_path / "set/val", "dog")
    ended = train(*TINY, f"data.root={tmp_path / 'set'}", tiny=False)
    assert ended.code == 3 and "val has classes that" in ended.err and "not: dog" in ended.err
    assert "leave val out: 'data.parts={train: train, test: test}'" in ended.err


def test_a_class_that_training_lacks_is_an_error(tmp_path: Path) -> None:
    for part in ("train", "val"):
        classes(tmp_path / part)
    for path in (tmp_path / "train/dog").iterdir():
        path.unlink()
    with pytest.raises(
        DataError,
        match=r"only one class folder, cat.* left out 1 folders without images",
    ):
        folder(root=str(tmp_path))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("ant", "bee"), "2 classes (ant, bee)"),
        (("ant", "bee", "cat", "dog"), "4 classes (ant, bee, cat, dog)"),
        (("ant", "bee", "cat", "dog", "emu"), "5 classes (ant, bee, cat, …)"),
        (("a\x1b[2Jnt", "b\u202eee"), "2 classes (a\\x1b[2Jnt, b\\u202eee)"),
        (("a\nb", "👩\u200d🔬"), "2 classes (a\\nb, 👩\u200d🔬)"),
        (("x" * 50, "y"), f"2 classes ({'x' * 39}…, y)"),
    ],
)
def test_the_opening_line_names_the_classes_and_steers_no_terminal(
    train: Train, tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    for name in names:
        fill(tmp_path / "set" / name)
    ended = train(*TINY, f"data.root={tmp_path / 'set'}", tiny=False)
    assert ended.code == 0 and told in ended.out
    assert not set(ended.out) & {"\x1b", "\u202e"}


def test_an_error_steers_no_terminal(train: Train, tmp_path: Path) -> None:
    make(tmp_path / "set", {"train": {}, "val": {"a\x1b[2Jnt\n": NUMBERS}})
    ended = train(*TINY, f"data.root={tmp_path / 'set'}", tiny=False)
    assert ended.code == 3 and "a\\x1b[2Jnt\\n" in ended.err and "\x1b" not in ended.err
    assert len(ended.err.splitlines()) == 1


WORDS = st.sampled_from(["train", "Training", "TRN", "val", "Valid", "validation", "dev", "test", "Testing", "TST"])
BESIDE = st.sampled_from(["images", "Set", "data", "v2", "2017", "224x224", "cropped", "01", "jpg", ""])
SIGN = st.sampled_from(["_", "-", " ", "."])


@given(WORDS, BESIDE, BESIDE, SIGN)
def test_a_part_keeps_its_meaning_whatever_stands_beside_its_word(
    word: str, before: str, after: str, sign: str
) -> None:
    name = sign.join(each for each in (before, word, after) if each)
    first = {"d": "val", "v": "val"}.get(word[0].lower())
    expected = first or ("train" if word.lower()[1] == "r" else "test")
    assert parts_of([name]) == {name: expected}


@given(WORDS, st.sampled_from(["tube", "station", "cat", "ing", "ley", "shoes"]), SIGN)
def test_a_name_that_says_more_than_a_part_is_no_part(word: str, more: str, sign: str) -> None:
    assert parts_of([f"{word}{sign}{more}", f"{more}{sign}{word}"]) == {}


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("cat.0", "cat"), ("cat (3)", "cat"), ("great_dane_12", "great_dane"), ("003_cat", "cat"), ("cat7", "cat"),
     ("n01440764_10026", "n01440764"), ("12", ""), ("_7_", ""), ("chat-é-3", "chat-é"), ("cat", "cat")],
)  # fmt: skip
def test_the_class_in_a_files_name_is_what_stands_beside_its_number(stem: str, expected: str) -> None:
    assert name_label(stem) == expected


def test_camera_names_in_class_folders_are_no_classes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, ("IMG_1", "IMG_2", "DSC_1", "DSC_2"))
    assert folder(root=str(tmp_path)).classes == ("cat", "dog")
