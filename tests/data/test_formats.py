"""Which files are pictures: by what is in them, told apart from all that stands in a picture's place."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from shared import Ended

from trainer.data import formats
from trainer.data.decode import Frame, decode
from trainer.data.formats import SUFFIXES
from trainer.errors import DataError
from trainer.size import square

NO_PICTURES = {
    "EPS": "starts another program",
    "WMF": "has no pixels that Pillow could read",
    "MPEG": "has no pixels that Pillow could read",
    "BUFR": "has no pixels that Pillow could read",
    "GRIB": "has no pixels that Pillow could read",
    "HDF5": "has no pixels that Pillow could read",
    "IPTC": "reads what is in it by way of any format, EPS too",
    "IM": "goes from Pillow with its release 15",
    "SPIDER": "begins with no signature, and its names end anyhow",
    "FITS": "was unpacked without a bound before Pillow 12",
}
"""What Pillow opens and is no picture here."""


def saved(name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    picture.convert(options.pop("mode", "RGB")).save(buffer, format=name, **options)
    return buffer.getvalue()


def test_every_ending_that_pillow_knows_is_a_pictures_or_refused_for_a_reason() -> None:
    Image.init()
    known = {ending for ending, name in Image.EXTENSION.items() if name in Image.OPEN or name == "MPO"}
    refused = {ending for ending, name in Image.EXTENSION.items() if name in NO_PICTURES}
    assert known - SUFFIXES == refused and not SUFFIXES & refused
    assert set(NO_PICTURES) <= set(Image.OPEN)


@pytest.mark.slow
@pytest.mark.row(27)
@pytest.mark.parametrize("ending", [".jpg", ".png", ".heic", ".tga", ""])
@pytest.mark.parametrize(
    "name", ["AVIF", "BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TIFF", "WEBP"]
)
def test_what_is_in_a_file_decides_and_not_how_its_name_ends(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(saved(name))
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decode(path).permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(("name", "ending"), [("TGA", ".tga"), ("PCX", ".pcx"), ("DIB", ".dib")])
def test_a_format_that_anything_could_be_taken_for_wants_its_own_ending(tmp_path: Path, name: str, ending: str) -> None:
    for other in (ending, ".png"):
        (tmp_path / f"a{other}").write_bytes(saved(name))
    assert decode(tmp_path / f"a{ending}").shape == (3, 12, 16)
    with pytest.raises(DataError, match="not an image that can be read"):
        decode(tmp_path / "a.png")


@pytest.mark.row(28)
@pytest.mark.parametrize("name", NO_PICTURES)
@pytest.mark.parametrize("ending", [".jpg", ".own"])
def test_what_is_no_picture_is_never_handed_to_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ending: str
) -> None:
    Image.init()
    factory = Image.OPEN[name]
    monkeypatch.setitem(Image.OPEN, name, (lambda *_: pytest.fail("it was opened"), lambda _: True))
    own = next((each for each, of in Image.EXTENSION.items() if of == name), ".xyz")
    path = tmp_path / f"a{own if ending == '.own' else ending}"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="not an image"):
        decode(path)
    assert factory


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 99\n",
            "a Git LFS pointer, not the file itself",
        ),
        (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "a web page, not an image"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40), "HEIC, .* package pillow-heif .pip install"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40), "HEIC, .* package pillow-heif .pip install"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(40), "AVIF that Pillow .* cannot read"),
        (b"\xff\x0a" + bytes(40), "JPEG XL, which is not read here"),
        (b"plain text", "not an image that can be read"),
    ],
    ids=["lfs", "web page", "heic", "mif1", "avif", "jxl", "text"],
)
def test_what_stands_in_a_pictures_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, words: str
) -> None:
    monkeypatch.setattr(formats, "_reads_heif", lambda: False)
    for ending in (".jpg", ".heic"):
        (tmp_path / f"a{ending}").write_bytes(head)
        with pytest.raises(DataError, match=rf"a{ending}: {words}"):
            decode(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", [".heic", ".jpg"])
def test_heic_is_a_picture_where_the_package_for_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The package is played: what it does to Pillow is to register a format."""

    def reader(file: Any, name: str) -> Image.Image:
        file.close()
        return PngImagePlugin.PngImageFile(io.BytesIO(saved("PNG")))

    package = ModuleType("pillow_heif")
    package.register_heif_opener = lambda: monkeypatch.setitem(Image.OPEN, "HEIF", (reader, None))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    formats._reads_heif.cache_clear()
    (tmp_path / f"a{ending}").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40))
    try:
        assert decode(tmp_path / f"a{ending}", Frame(square(8))).shape == (3, 8, 8)
    finally:
        formats._reads_heif.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes, each with an ending of its own."""
    for name, ending, kind in (("cat", "jfif", "JPEG"), ("dog", "avif", "AVIF")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(5):
            (tmp_path / "photos" / name / f"{index}.{ending}").write_bytes(saved(kind))
    return tmp_path / "photos"


WORDS = ("data=folder", "model.widths=[2]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32", "workers=0")


def test_unusual_endings_are_trained_on_and_those_left_out_are_named_with_counts(
    train: Callable[..., Ended], photos: Path
) -> None:
    for name in ("a.txt", "b.TXT", "c", "d.mp4"):
        (photos / "cat" / name).touch()
    ended = train(*WORDS, f"data.root={photos}", tiny=False)
    assert ended.code == 0, ended.err
    assert "Held out 2 of 10 training images" in ended.out
    assert "left out 4 files that are not images, by their names' ends: 2 .txt, 1 without one, 1 .mp4.\n" in ended.out


def test_a_heic_is_counted_as_a_picture_and_asks_for_its_package(
    train: Callable[..., Ended], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_reads_heif", lambda: False)
    for index in range(5):
        (photos / "cat" / f"{index}.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40))
    ended = train(*WORDS, f"data.root={photos}", tiny=False)
    assert ended.code == 3
    assert (
        "5 of 15 images cannot be read" in ended.err
        and "package pillow-heif (pip install 'trainer[heic]')" in ended.err
    )


@pytest.mark.row(29)
def test_folders_without_pictures_are_no_classes_and_said(train: Callable[..., Ended], photos: Path) -> None:
    for name in ("__pycache__", "docs", "empty"):
        (photos / name).mkdir()
    (photos / "__pycache__" / "a.pyc").touch()
    (photos / "docs" / "a.md").touch()
    ended = train(*WORDS, f"data.root={photos}", tiny=False)
    assert ended.code == 0, ended.err
    assert "left out 3 folders without images, which are no classes: __pycache__, docs, empty.\n" in ended.out
    assert "2 files that are not images, by their names' ends: 1 .pyc, 1 .md." in ended.out


def odd_tiff(path: Path) -> None:
    """One that libtiff warns of, for it has a tag that nobody knows; and one whose pixels it complains of."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    picture.save(path, compression="tiff_lzw", tiffinfo={65000: "unknown"})
    data = bytearray(path.read_bytes())
    data[10:40] = b"\xff" * 30
    path.with_name("broken.tif").write_bytes(data)


def odd_exif(path: Path) -> None:
    """A picture with EXIF that ends before it says, which Pillow warns of."""
    exif = Image.Exif()
    exif[0x010E] = "a long description of this picture" * 3
    Image.new("RGB", (16, 12)).save(path, exif=exif.tobytes()[:-60])


@pytest.mark.slow
def test_neither_pillow_nor_libtiff_writes_above_our_own_lines(tmp_path: Path) -> None:
    odd_tiff(tmp_path / "a.tif")
    odd_exif(tmp_path / "a.jpg")
    program = """
import sys
from pathlib import Path
from PIL import Image
if len(sys.argv) > 2:
    def read(path):
        with Image.open(path) as image:
            image.load(), image.getexif()
else:
    from trainer.data.decode import decode as read
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read(path)
        print(path.name, "read")
    except Exception:
        print(path.name, "refused")
"""

    def printed(*words: str) -> tuple[str, str]:
        ended = subprocess.run([sys.executable, "-c", program, str(tmp_path), *words], capture_output=True, text=True)
        return ended.stdout, ended.stderr

    lines = "a.jpg read\na.tif read\nbroken.tif refused\n"
    out, err = printed("the control")
    assert out == lines and "Tag data larger than file" in err and "not yet in table" in err
    assert printed() == (lines, "")


@pytest.mark.row(27)
@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_broken_exif_turns_nothing_and_costs_no_picture(tmp_path: Path, ending: str) -> None:
    Image.new("RGB", (16, 12), (9, 9, 9)).save(tmp_path / f"a{ending}", exif=b"no exif at all")
    with Image.open(tmp_path / f"a{ending}") as image, pytest.raises(SyntaxError):  # the control
        image.getexif()
    assert decode(tmp_path / f"a{ending}").shape == (3, 12, 16)
