"""What is told of a set's files, their sizes and modes, and of how many there are of each class."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from drawn import of_arrays, saved, scene, scenes
from PIL import Image

from trainer.check import counts, files
from trainer.check import seen as seen_module
from trainer.check.seen import look
from trainer.data.folder import folder
from trainer.data.glyphs import glyphs
from trainer.data.source import Source
from trainer.doctor.finding import Finding


def told(source: Source, *, skips: bool = False) -> dict[str, Finding]:
    return {each.rule: each for each in files.of_files(look(source, lambda *_: None), source, skips)}


def counted(source: Source, weighting: object = "none") -> dict[str, Finding]:
    return {each.rule: each for each in counts.of_counts(source, weighting)}


def test_a_truncated_jpeg_is_a_fault_with_its_path_and_the_words_that_leave_it_out(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    scene(99, (200, 150)).save(tmp_path / "train/cat/broken.jpg")
    content = (tmp_path / "train/cat/broken.jpg").read_bytes()
    (tmp_path / "train/cat/broken.jpg").write_bytes(content[: len(content) // 2])
    found = told(folder(root=str(tmp_path), size=16, cache="none"))["unreadable"]
    assert (found.severity, found.words) == ("fault", "data.on_error=skip")
    assert "1 of 25 images" in found.evidence
    assert f"{tmp_path}/train/cat/broken.jpg: broken or truncated" in found.evidence


def test_a_file_that_the_run_leaves_out_is_a_warning(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    (tmp_path / "train/cat/broken.png").write_text("<html>")
    source = folder(root=str(tmp_path), size=16, cache="none", on_error="skip")
    found = told(source, skips=True)["unreadable"]
    assert (found.severity, found.words) == ("warning", "")
    assert "1 of 25 images" in found.evidence


def test_pictures_that_fit_are_no_finding(tmp_path: Path) -> None:
    assert told(saved(tmp_path, scenes())) == {}


def test_pictures_smaller_than_the_model_sees_are_told_with_the_size_that_fits(tmp_path: Path) -> None:
    saved(tmp_path, scenes())
    found = told(folder(root=str(tmp_path), size=224, cache="none"))["enlarged"]
    assert (found.severity, found.words) == ("warning", "data.size=48")


def test_huge_pictures_are_a_note(tmp_path: Path) -> None:
    source = saved(tmp_path, {f"{name}/{seed}.png": scene(seed, (400, 400)) for seed, name in enumerate("aabb")})
    assert told(source)["shrunk"].severity == "note"


def test_long_pictures_are_told_with_their_own_proportions(tmp_path: Path) -> None:
    source = saved(tmp_path, {f"{name}/{seed}.png": scene(seed, (96, 32)) for seed, name in enumerate("aabb")})
    found = told(source)["reshaped"]
    assert found.words == "data.fit=pad"
    assert "data.size='[16,48]'" in found.advice
    assert found.evidence.startswith("67% of the picture")


def test_pictures_in_a_frame_of_their_own_proportions_are_no_finding(tmp_path: Path) -> None:
    saved(tmp_path, {f"{name}/{seed}.png": scene(seed, (96, 32)) for seed, name in enumerate("aabb")})
    assert told(folder(root=str(tmp_path), size=[16, 48], cache="none")) == {}


def test_a_photograph_on_its_side_has_the_proportions_that_one_sees(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    for seed, name in enumerate("aabb"):
        (tmp_path / name).mkdir(exist_ok=True)
        scene(seed, (32, 96)).save(tmp_path / name / f"{seed}.jpg", exif=turned)
    assert told(folder(root=str(tmp_path), size=[16, 48], cache="none")) == {}


def test_the_lines_have_sizes_and_modes(tmp_path: Path) -> None:
    pictures: Mapping[str, Image.Image] = {**scenes(), "train/cat/grey.png": scene(99, (20, 10)).convert("L")}
    lines = files.in_words(look(saved(tmp_path, pictures), lambda *_: None))
    assert lines[0] == "sizes, height x width: 2 sizes, short sides 10 to 48, median 48: 48 x 64 (24), 10 x 20 (1)"
    assert lines[1] == "colour modes: RGB (24), L (1)"


def test_of_many_pictures_the_same_share_of_each_part_is_looked_at_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "_MOST_DRAWN", 120)
    seen = look(glyphs(images=1000, size=12), lambda *_: None)
    assert np.bincount(seen.parts).tolist() == [90, 10, 20]
    assert seen.sampled == " (of 120 of 1,200 pictures looked at)"


def test_the_lines_have_the_pictures_of_each_class_and_part(tmp_path: Path) -> None:
    source = saved(tmp_path, {**scenes(), "train/cat/more.png": scene(99)})
    assert counts.in_words(source) == [
        "training: 13 pictures (cat 7, dog 6)",
        "validation: 12 pictures (cat 6, dog 6)",
    ]


def test_uneven_classes_are_told_with_the_weights_that_balance_them() -> None:
    source = of_arrays(np.zeros((400, 8, 8, 3), np.uint8), [0] * 368 + [1] * 32, ("cat", "dog"))
    found = counted(source)["uneven_classes"]
    assert (found.severity, found.words) == ("warning", "loss.class_weights=balanced")
    assert found.evidence == "cat 276, dog 24: 11.5 times as many. What would balance them: cat 0.543, dog 6.25"


def test_classes_that_are_weighted_already_are_no_finding() -> None:
    source = of_arrays(np.zeros((400, 8, 8, 3), np.uint8), [0] * 368 + [1] * 32, ("cat", "dog"))
    assert counted(source, "balanced") == {}


def test_a_class_that_a_part_lacks_is_told_by_name() -> None:
    labels = [label if number % 4 == 3 else label % 2 for number, label in enumerate([0, 1, 1, 2] * 30)]
    found = counted(of_arrays(np.zeros((120, 8, 8, 3), np.uint8), labels, ("cat", "dog", "owl")))
    assert found["class_without_training"].severity == "fault"
    assert "owl" in found["class_without_training"].evidence
    assert "cat, dog" in found["class_without_validation"].evidence


def test_a_class_with_few_pictures_is_told() -> None:
    found = counted(of_arrays(np.zeros((92, 8, 8, 3), np.uint8), [0] * 40 + [1] * 40 + [2] * 12, ("a", "b", "c")))
    assert found["class_with_few"].evidence == "1 of 3: c 9"
