"""Pictures that are there twice: in one part, in two parts, under two labels."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import of_arrays, saved, scene, scenes
from PIL import Image, ImageEnhance

from trainer.check.alike import alike
from trainer.check.duplicates import find, of_duplicates
from trainer.check.pairs_picture import draw_pairs
from trainer.check.seen import look
from trainer.data.folder import folder
from trainer.data.source import Source
from trainer.doctor.finding import Finding
from trainer.errors import OutputError


def told(source: Source) -> dict[str, Finding]:
    return {each.rule: each for each in of_duplicates(find(source, look(source, lambda *_: None)))}


def again(root: Path) -> Source:
    return folder(root=str(root), size=16, cache="none")


def test_pictures_that_differ_are_no_finding(tmp_path: Path) -> None:
    assert told(saved(tmp_path, scenes())) == {}


def test_the_same_bytes_under_two_labels_are_a_fault_with_both_names(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "train/dog/odd.png")
    found = told(again(tmp_path))
    assert list(found) == ["same_in_two_classes"]
    assert found["same_in_two_classes"].severity == "fault"
    assert "train/cat/1.png and train/dog/odd.png" in found["same_in_two_classes"].evidence


def test_a_leaked_file_is_a_fault_with_both_names(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "val/cat/leaked.png")
    found = told(again(tmp_path))
    assert list(found) == ["leak"]
    assert found["leak"].severity == "fault"
    assert found["leak"].evidence == "1 of 13: train/cat/1.png and val/cat/leaked.png"


def test_a_leak_of_less_than_a_hundredth_is_a_warning() -> None:
    pixels = np.stack([np.asarray(scene(seed, (32, 32))) for seed in range(480)])
    pixels[3] = pixels[0]
    found = told(of_arrays(pixels, [0, 1] * 240, ("cat", "dog")))
    assert found["leak"].severity == "warning"


def test_a_file_that_trains_twice_is_told(tmp_path: Path) -> None:
    saved(tmp_path, scenes(each=20))
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "train/cat/copy.png")
    assert told(again(tmp_path))["same_in_training"].severity == "note"


def test_a_copy_that_is_there_three_times_is_no_copy_by_its_looks_too(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    for name in ("a", "b"):
        shutil.copy(tmp_path / "train/cat/1.png", tmp_path / f"train/cat/{name}.png")
    assert list(told(again(tmp_path))) == ["same_in_training"]


@pytest.mark.parametrize(
    "changed",
    [
        lambda picture: picture.resize((40, 30)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
        lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
    ],
    ids=["resized", "brighter", "flatter"],
)
def test_a_changed_copy_in_another_part_is_a_warning(tmp_path: Path, changed: object) -> None:
    assert callable(changed)
    pictures = scenes()
    pictures["val/cat/leaked.png"] = changed(pictures["train/cat/1.png"])
    found = told(saved(tmp_path, pictures))
    assert list(found) == ["leak_of_copies"]
    assert "train/cat/1.png and val/cat/leaked.png" in found["leak_of_copies"].evidence


def test_a_copy_saved_as_a_jpeg_of_another_class_is_a_warning(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    with Image.open(tmp_path / "train/cat/1.png") as picture:
        picture.save(tmp_path / "train/dog/again.jpg", quality=70)
    found = told(again(tmp_path))
    assert list(found) == ["alike_in_two_classes"]
    assert found["alike_in_two_classes"].severity == "warning"


def test_plain_pictures_of_other_colours_are_not_the_same() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (60, 1, 1, 3))
    noise = np.random.default_rng(1).integers(-2, 3, (60, 32, 32, 3))
    assert len(alike((colours + noise).clip(0, 255).astype(np.uint8)).one) == 0


def test_one_drawing_in_other_colours_is_not_the_same() -> None:
    pixels = np.stack([np.asarray(scene(seed, (32, 32))) for seed in range(100)])
    inked = pixels[0] * 0.6
    pixels[98] = inked + 50
    pixels[99] = inked + np.array([100, 0, 100])
    found = alike(pixels)
    assert list(zip(found.one.tolist(), found.other.tolist(), strict=True)) == [(0, 98)]


def test_smooth_pictures_with_other_details_are_not_the_same() -> None:
    ramp = np.broadcast_to(np.linspace(40, 200, 32)[None, :, None, None], (40, 32, 32, 3))
    details = np.random.default_rng(0).integers(-12, 13, (40, 32, 32, 3))
    assert len(alike((ramp + details).astype(np.uint8)).one) == 0


def test_the_pairs_that_are_alike_are_those_of_a_search_through_all() -> None:
    """Most pairs are never compared, since they lie too far apart in one direction: none of the right ones is lost."""
    pixels = np.stack([np.asarray(scene(seed, (32, 32))) for seed in range(1500)])
    rng = np.random.default_rng(0)
    copies = rng.choice(1500, 100, replace=False).reshape(50, 2)
    pixels[copies[:, 1]] = np.clip(pixels[copies[:, 0]] * 0.9, 0, 255).astype(np.uint8)
    found = alike(pixels)
    expected = {(min(pair), max(pair)) for pair in copies.tolist()}
    assert set(zip(found.one.tolist(), found.other.tolist(), strict=True)) == expected


def test_a_set_in_which_every_picture_is_there_twice_is_told() -> None:
    pixels = np.stack([np.asarray(scene(seed % 60, (32, 32))) for seed in range(120)])
    pixels[60:] = np.clip(pixels[60:] * 0.9, 0, 255).astype(np.uint8)
    assert len(alike(pixels).one) == 60


def test_a_part_that_validates_on_the_training_pictures_is_no_leak(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    shutil.rmtree(tmp_path / "val")
    assert told(folder(root=str(tmp_path), size=16, cache="none", val="none", parts={"train": "train"})) == {}


def test_the_picture_shows_the_pairs_side_by_side(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "train/dog/odd.png")
    source = again(tmp_path)
    pairs = find(source, look(source, lambda *_: None)).pairs
    draw_pairs(pairs, source, tmp_path / "check" / "pairs.png")
    with Image.open(tmp_path / "check" / "pairs.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB")).astype(int)
    one, other = pixels[22:150, 8:136], pixels[22:150, 144:272]
    assert (one == other).all()
    assert one.std() > 10


def test_a_picture_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    source = saved(tmp_path, scenes())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Choose another"):
        draw_pairs((), source, tmp_path / "file" / "pairs.png")
