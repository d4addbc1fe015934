"""The verb augment: six copies an image, each what its name says, and never where something was."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms.v2.functional as tv
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode

from trainer.cli.main import main
from trainer.commands.augment import COPIES, noise, rotation

Photos = Callable[..., Path]


def photo(seed: int, height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """Smooth colours, so that two ways of interpolating come to the same."""
    rows, columns = np.mgrid[0:height, 0:width]
    shades = [np.sin(rows / 9 + seed) + np.cos(columns / 7 + channel) for channel in range(3)]
    return (128 + 40 * np.stack(shades, 2)).astype(np.uint8)


def pixels_of(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.array(image).astype(np.int64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat/1.png", "cat/deep/2.png", "dog/1.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(number)).save(path)
    return tmp_path / "photos"


def augment(photos: Path, output: Path, *words: str) -> int:
    return main(["augment", "data=folder", f"data.root={photos}", f"output={output}", *words])


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_each_image_gets_six_copies_where_it_lay_and_the_source_stays(photos: Path, tmp_path: Path) -> None:
    before = digests(photos)
    assert augment(photos, tmp_path / "copies") == 0
    assert digests(photos) == before
    names = {f"{key}-{copy}.png" for key in before for copy in COPIES}
    assert set(digests(tmp_path / "copies")) == names and len(names) == 6 * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies", "photos"]


def test_each_copy_is_what_its_name_says(photos: Path, tmp_path: Path) -> None:
    augment(photos, tmp_path / "copies")
    original = photo(0).astype(int)
    copies = {name: pixels_of(tmp_path / f"copies/cat/1.png-{name}.png") for name in COPIES}
    assert (copies["flip"] == original[:, ::-1]).all()
    assert (abs(copies["brighter"] - np.minimum(255, 1.5 * original)) <= 0.5).all()
    assert (abs(copies["darker"] - 0.9 * original) <= 0.5).all()
    changed = (copies["salt_and_pepper"] != original).any(2)
    assert changed.mean() == pytest.approx(0.3, abs=0.03)
    assert set(copies["salt_and_pepper"][changed].flatten()) == {0, 255}
    assert (copies["salt_and_pepper"][changed] == 255).mean() == pytest.approx(0.5, abs=0.08)


def test_noise_is_normal_with_a_deviation_of_three_tenths() -> None:
    middle = np.full((100, 100, 3), 128, dtype=np.uint8)
    away = abs(noise(middle, np.random.default_rng(0)).astype(int) - 128) / 255
    assert (away > 0.3).mean() == pytest.approx(0.3173, abs=0.01)  # beyond one deviation
    assert (away > 0.15).mean() == pytest.approx(0.6171, abs=0.01)  # beyond half of one


def test_rotation_is_torchvisions_affine_map_with_scale_nine_tenths() -> None:
    pixels = photo(0)
    ours = rotation(pixels, np.random.default_rng(5)).astype(int)
    angle = np.random.default_rng(5).uniform(-30, 30)
    turned = tv.affine(
        Image.fromarray(pixels),
        angle=-angle,
        translate=[0, 0],
        scale=0.9,
        shear=[0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    difference = abs(ours - np.array(turned).astype(int)).max(2)
    assert (difference <= 3).mean() > 0.97  # all but the border, where half a pixel decides about black
    assert (abs(ours - pixels.astype(int)).max(2) <= 3).mean() < 0.5  # the control: it has turned


def test_copies_depend_on_the_seed_and_the_name_alone(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert augment(photos, tmp_path / name, f"seed={seed}") == 0
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert {key for key in first if first[key] != other[key]} == {
        key for key in first if any(copy in key for copy in ("rotation", "salt_and_pepper", "noise"))
    }


def test_only_the_training_part_is_copied(photos: Path, tmp_path: Path) -> None:
    photos.rename(tmp_path / "train")
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            Image.fromarray(photo(1)).save(folder / "1.jpg")
    assert augment(tmp_path / "set", tmp_path / "copies") == 0
    assert {path.split("/")[0] for path in digests(tmp_path / "copies")} == {"train"}


def test_grey_copies_are_grey(photos: Path, tmp_path: Path) -> None:
    assert augment(photos, tmp_path / "copies", "data.grey=true") == 0
    for path in (tmp_path / "copies").rglob("*.png"):
        with Image.open(path) as copy:
            assert copy.mode == "L"


@pytest.mark.parametrize("place", ["photos", "photos/copies", ".", "taken", "file"])
def test_nothing_is_overwritten_nor_written_into_the_source(
    photos: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = digests(tmp_path)
    assert augment(photos, tmp_path / place) == 5
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert digests(tmp_path) == before


def test_an_image_that_cannot_be_read_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    (photos / "dog" / "9.png").write_bytes(b"no image")
    assert augment(photos, tmp_path / "copies") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("words", [["data=glyphs", "output=x"], ["data=folder", "data.root=x"]])
def test_what_cannot_be_copied_says_what_to_say_instead(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["augment", *words]) == 2
    assert capsys.readouterr().err.startswith("augment: ")


def test_an_option_that_cannot_act_on_copies_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["augment", "data=folder", f"data.root={tmp_path}", f"output={tmp_path / 'out'}", "data.denoise=median"]
    assert main(words) == 2
    assert capsys.readouterr().err.strip() == "augment: data.denoise cannot act on copies of files. Leave it out."
    assert not (tmp_path / "out").exists()
