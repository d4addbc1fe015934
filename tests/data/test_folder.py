"""Class folders: layouts, what is left out, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import open_store

from trainer.data.fingerprint import fingerprint
from trainer.data.folder import folder
from trainer.errors import DataError
from trainer.size import square


def fill(path: Path, count: int = 4, size: tuple[int, int] = (12, 10), suffix: str = ".png") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", size, (10 * index, 0, 0)).save(path / f"{index}{suffix}")
    return path


def two_classes(root: Path, count: int = 4) -> Path:
    fill(root / "cat", count)
    fill(root / "dog", count)
    return root


def test_flat_class_folders_hold_out_a_share(tmp_path: Path) -> None:
    source = folder(root=str(two_classes(tmp_path)), val=0.25)
    assert source.classes == ("cat", "dog") and source.test is None
    assert (len(source.train), len(source.val)) == (6, 2)
    assert sorted([*source.train.keys, *source.val.keys]) == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(4)]
    for key, label in zip(source.train.keys, source.train.labels.tolist(), strict=True):
        assert key.startswith(source.classes[label])


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_parts_are_found_by_their_names(tmp_path: Path, name: str) -> None:
    for part in ("train", name, "test"):
        two_classes(tmp_path / part)
    source = folder(root=str(tmp_path))
    assert source.test is not None
    assert [len(part) for part in (source.train, source.val, source.test)] == [8, 8, 8]
    assert source.val.keys[0] == "cat/0.png"


def test_val_test_uses_the_test_part(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "val", 3)
    two_classes(tmp_path / "test", 2)
    source = folder(root=str(tmp_path), val="test")
    assert (len(source.train), len(source.val), source.test) == (8, 4, None)
    assert any("validation part is not used" in note for note in source.notes)


def test_train_and_test_alone_hold_out_from_train(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test", 2)
    source = folder(root=str(tmp_path), val=0.25)
    assert source.test is not None
    assert [len(part) for part in (source.train, source.val, source.test)] == [6, 2, 4]


def test_class_named_train_is_a_class(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "car")
    assert folder(root=str(tmp_path)).classes == ("car", "train")


def test_hidden_entries_are_no_classes(tmp_path: Path) -> None:
    two_classes(tmp_path)
    fill(tmp_path / ".ipynb_checkpoints")
    fill(tmp_path / "cat" / ".ipynb_checkpoints")
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "cat" / ".hidden.png").touch()
    source = folder(root=str(tmp_path))
    assert source.classes == ("cat", "dog") and len(source.train) + len(source.val) == 8
    assert not any("left out" in note for note in source.notes)


def test_what_is_no_image_is_skipped_and_counted(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path / "cat")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    fill(tmp_path / "dog" / "deeper", 1)
    Image.new("L", (9, 9)).save(tmp_path / "stray.png")
    source = folder(root=str(tmp_path))
    assert len(source.train) + len(source.val) == 9
    notes = "\n".join(source.notes)
    for words in (
        "1 files that are not",
        "1 links that lead",
        "1 links to a folder",
        "1 entries",
        "1 image files that",
    ):
        assert words in notes


def test_dangling_and_looping_class_links_are_no_classes(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "bird").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert folder(root=str(tmp_path)).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "there is no folder"),
        (lambda root: root.write_text(""), "is neither a folder nor an archive"),
        (lambda root: root.mkdir(), "is empty"),
        (lambda root: (root.mkdir(), (root / "x.txt").touch()), "has no folders in it"),
        (lambda root: fill(root / "cat"), "only one class folder, cat"),
        (lambda root: two_classes(root / "photos"), r"only one class.* Perhaps data.root=.*photos\?"),
        (lambda root: (fill(root / "cat"), fill(root / "dog", 0)), "only one class folder, cat.* left out 1 folders"),
        (lambda root: (fill(root / "cat", 0), fill(root / "dog", 0)), "no images in its folders.* classes: cat, dog"),
        (lambda root: (two_classes(root / "val"), two_classes(root / "test")), "no train/CLASS folders"),
        (lambda root: [two_classes(root / part) for part in ("train", "val", "valid")], "both look like the val part"),
        (
            lambda root: (two_classes(root / "train"), two_classes(root / "val"), fill(root / "val/emu")),
            "val has classes that .*train has not: emu. Add",
        ),
        (
            lambda root: (two_classes(root / "train"), fill(root / "val/cat"), fill(root / "val/dgo")),
            "train has not: dgo. Did you mean 'dog'",
        ),
        (lambda root: (two_classes(root), fill(root / "Cat")), "differ only in case"),
        (lambda root: (two_classes(root), fill(root / "\u00e9"), fill(root / "e\u0301")), "accents"),
    ],
)
def test_folders_that_make_no_set_are_refused(tmp_path: Path, make: object, words: str) -> None:
    root = tmp_path / "set"
    assert callable(make)
    make(root)
    with pytest.raises(DataError, match=words) as caught:
        folder(root=str(root))
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)


def test_test_part_without_classes_is_said(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    Image.new("L", (9, 9)).save(fill(tmp_path / "test", 0) / "1.png")
    source = folder(root=str(tmp_path))
    assert source.test is None and any("nothing to test on" in note for note in source.notes)


@pytest.mark.parametrize(
    ("short", "size", "side"), [(40, None, 40), (500, None, 128), (500, 100, 100), (110, 100, 100), (40, 64, 64)]
)
def test_prepared_size_follows_the_median_short_side(tmp_path: Path, short: int, size: int | None, side: int) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 2, (short + 30, short), ".bmp")
    source = folder(root=str(tmp_path), size=size)
    assert (source.size, source.train.shape) == (square(side), (3, side, side))
    assert source.train.image(0).shape == (3, side, side)
    assert any(f"{side} x {side}" in note for note in source.notes)


def test_grey_gives_one_channel(tmp_path: Path) -> None:
    source = folder(root=str(two_classes(tmp_path)), grey=True)
    assert source.channels == 1 and source.train.image(0).shape == (1, 10, 10)


def test_unreadable_images_are_listed_together(tmp_path: Path) -> None:
    two_classes(tmp_path, 12)
    for index in range(12):
        (tmp_path / "cat" / f"{index}.png").write_bytes(b"no image")
    source = folder(root=str(tmp_path), val=0.01)
    with pytest.raises(DataError, match="11 of 22 images cannot be read") as caught:
        open_store(source.train, cache="ram", workers=2)
    assert str(caught.value).count(": not an image") == 10 and "and 1 more" in str(caught.value)


def test_unreadable_images_are_left_out_on_request(tmp_path: Path) -> None:
    two_classes(tmp_path)
    bad = tmp_path / "cat" / "1.png"
    bad.write_bytes(bad.read_bytes()[:40])
    source = folder(root=str(tmp_path), on_error="skip")
    assert "cat/1.png" not in [*source.train.keys, *source.val.keys]
    assert any("1 of 8 images cannot be read" in note and str(bad) in note for note in source.notes)
    open_store(source.train, cache="ram", workers=0)
    assert bad.exists()


def test_every_image_unreadable_is_one_error(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"^8 of 8 images cannot be read:\n  .*0\.png: not an image"):
        folder(root=str(tmp_path))
    for index in range(4, 300):
        (tmp_path / "cat" / f"{index}.png").touch()
    with pytest.raises(DataError, match=r"^Of 304 images 152 were looked at\. 152 of 152 images cannot be read:\n"):
        folder(root=str(tmp_path))


def test_fingerprint_does_not_depend_on_the_place_but_on_the_files(tmp_path: Path) -> None:
    def of(root: Path) -> str:
        return fingerprint(folder(root=str(root)))

    first, second = two_classes(tmp_path / "a"), two_classes(tmp_path / "b")
    assert of(first) == of(second)
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (10, 12, 3), dtype=np.uint8)).save(second / "cat/0.png")
    assert of(first) != of(second)
