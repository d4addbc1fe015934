"""Every mode in every format, in grey and in colour, with every resize: Pillow's own pixels, or a refusal."""

import struct
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, JpegImagePlugin
from shared import Ended

from trainer.data import decode as decode_module
from trainer.data.decode import Frame, decode, framed
from trainer.data.folder import folder
from trainer.data.formats import SUFFIXES
from trainer.errors import DataError
from trainer.size import square

MODES = "1,L,LA,La,P,PA,RGB,RGBA,RGBX,RGBa,CMYK,YCbCr,LAB,HSV,I,F,I;16,I;16B".split(",")  # noqa: SIM905
FORMATS = (
    *("AVIF", "BLP", "BMP", "DDS", "DIB", "EPS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "MSP", "PCX", "PDF"),
    *("PNG", "PPM", "QOI", "SGI", "SPIDER", "TGA", "TIFF", "WEBP", "XBM"),
)
"""All that Pillow 13 writes, but for stubs and PALM, which it cannot read."""
RESIZES = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
WIDTH, HEIGHT, SIDE = 40, 32, 8


def picture(mode: str) -> Image.Image:
    """A smooth one, so that a JPEG's draft is near it; half of it may be seen through where the mode can say so."""
    across, down = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
    colour = np.stack([across, down, 255 - across, np.where(across > 128, 255, 90)], 2).astype(np.uint8)
    if mode in ("I", "I;16", "I;16B"):
        kind = {"I": np.int32, "I;16": "<u2", "I;16B": ">u2"}[mode]
        return Image.fromarray((across * 257).astype(kind))
    if mode == "F":
        return Image.fromarray((across / 255).astype(np.float32))
    if mode in ("La", "RGBa"):
        return picture(mode.upper()).convert(mode)
    if mode == "PA":
        return Image.fromarray(colour, "RGBA").convert("LA").convert("PA")
    if mode in ("LAB", "HSV", "YCbCr"):
        return Image.frombytes(mode, (WIDTH, HEIGHT), np.ascontiguousarray(colour[..., :3]).tobytes())
    return Image.fromarray(colour, "RGBA").convert("RGB" if mode not in ("RGBA", "LA") else "RGBA").convert(mode)


def pillows(image: Image.Image, grey: bool) -> Image.Image:
    """The picture in Pillow's own conversion, but for what it clips and what can be seen through."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        image = Image.fromarray((values * 255 / (1 if image.mode == "F" else 65535)).round().astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return (image.convert("RGB") if image.mode == "LAB" else image).convert("L" if grey else "RGB")


def shown(path: Path, frame: Frame) -> np.ndarray:
    pixels = decode(path, frame)
    return (pixels[0] if frame.grey else pixels.permute(1, 2, 0)).numpy()


def written(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """(mode, file) of each mode that the format can be written in."""
    Image.init()
    ending = next((each for each, of in Image.EXTENSION.items() if of == name), ".spider")
    for mode in MODES if name != "ICNS" else ("P", "RGB", "LA"):  # which is slow to write
        path = folder / f"{mode.replace(';', '')}{ending}"
        try:
            picture(mode).save(path, format=name)
        except (OSError, ValueError, KeyError, AttributeError):
            path.unlink(missing_ok=True)
            continue
        yield mode, path


@pytest.mark.slow
@pytest.mark.row(27)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "draft"), [*((name, True) for name in FORMATS), ("JPEG", False), ("MPO", False)])
def test_every_mode_of_every_format_gives_pillows_own_pixels_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, draft: bool
) -> None:
    tried = 0
    if not draft:
        monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", lambda self, mode, size: None)
    for mode, path in written(name, tmp_path):
        for grey, (resize, method) in product((False, True), RESIZES.items()):
            tried += 1
            frame = Frame(square(SIDE), grey, resize)  # type: ignore[arg-type]
            try:
                with Image.open(path) as image:
                    image.load()
                    expected = np.asarray(ImageOps.fit(pillows(image, grey), (SIDE, SIDE), method))
                assert path.suffix in SUFFIXES
            except Exception:  # Pillow itself has no way to these pixels, or we do not open such files
                with pytest.raises(DataError, match=path.name):
                    decode(path, frame)
                continue
            drafted = draft and name in ("JPEG", "MPO") and resize != "nearest"
            far = (24 if mode == "1" else 12) if drafted else 0
            assert np.abs(shown(path, frame).astype(int) - expected).max() <= far, (mode, grey, resize)
    assert tried


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_framed_or_refused_wherever_it_comes_from(mode: str, grey: bool) -> None:
    """As torchvision's readers give them."""
    image = picture(mode)
    try:
        expected = np.asarray(pillows(image, grey))
    except ValueError:
        with pytest.raises(DataError, match=rf"here: cannot be made a picture \({mode}, 40 x 32"):
            framed(image, "here", Frame(square(SIDE), grey))
        return
    pixels = framed(image, "here", Frame(grey=grey))
    assert np.array_equal((pixels[0] if grey else pixels.permute(1, 2, 0)).numpy(), expected)


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """A grey one with predictor 1 (ITU T.81, H): each pixel as the size, in 4 bits, and the bits of its step."""
    code = ""
    for (y, x), value in np.ndenumerate(pixels.astype(int)):
        step = int(value - (pixels[y, x - 1] if x else pixels[y - 1, 0] if y else 128))
        size = abs(step).bit_length()
        code += f"{size:04b}" + (f"{step if step > 0 else step + 2**size - 1:0{size}b}" if size else "")
    code += "1" * (-len(code) % 8)
    data = int(code, 2).to_bytes(len(code) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    table = segment(0xC4, bytes([0, 0, 0, 0, 9] + [0] * 12) + bytes(range(9)))
    height, width = pixels.shape
    frame = segment(0xC3, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
    return b"\xff\xd8" + table + frame + segment(0xDA, bytes([1, 1, 0, 1, 0, 0])) + data + b"\xff\xd9"


NOISE = np.random.default_rng(0).integers(0, 256, (32, 40), dtype=np.uint8)


@pytest.mark.row(27)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("resize", RESIZES)
def test_a_lossless_jpeg_is_decoded_though_it_has_no_draft(tmp_path: Path, resize: Any, grey: bool) -> None:
    (tmp_path / "a.jpg").write_bytes(lossless_jpeg(NOISE))
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert shown(tmp_path / "a.jpg", Frame(grey=True)).tolist() == NOISE.tolist()
    frame = Frame(square(SIDE), grey, resize)
    assert np.array_equal(shown(tmp_path / "a.jpg", frame), shown(tmp_path / "a.png", frame))
    with Image.open(tmp_path / "a.jpg") as image:  # the control
        image.draft(None, (SIDE, SIDE))
        with pytest.raises(OSError, match="broken"):
            image.load()


def test_a_run_in_grey_takes_lossless_jpegs_and_lab_tiffs(train: Callable[..., Ended], tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(4):
            (tmp_path / "photos" / name / f"{index}.jpg").write_bytes(lossless_jpeg(NOISE + np.uint8(index)))
            picture("LAB").save(tmp_path / "photos" / name / f"{index}.tif")
    words = ("data=folder", "data.grey=true", "data.size=8", "model.widths=[2]", "epochs=1", "device=cpu")
    ended = train(*words, f"data.root={tmp_path / 'photos'}", tiny=False)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("side", [None, 4])
def test_a_grey_that_a_deep_png_calls_transparent_is_white(tmp_path: Path, side: int | None) -> None:
    values = np.repeat(np.array([[0, 1000, 65535, 1000]], np.uint16), 4, axis=0)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    assert decode(tmp_path / "a.png", Frame(side and square(side), grey=True))[0, 0].tolist() == [0, 255, 255, 255]


@pytest.mark.parametrize("step", ["_to_eight_bits", "_flat", "_fitted"])
def test_whatever_fails_on_the_way_to_the_pixels_is_the_images_own_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("PA")

    monkeypatch.setattr(decode_module, step, fail)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be made a picture \(RGB, 9 x 9: 'PA'\)"):
        decode(tmp_path / "a.png", Frame(square(4)))


def test_what_grey_cannot_take_is_left_out_where_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(4):
            picture("RGB").save(tmp_path / name / f"{index}.png")
    picture("CMYK").save(tmp_path / "cat" / "bad.tif")
    convert = Image.Image.convert

    def no_cmyk(image: Image.Image, mode: str, **options: Any) -> Image.Image:
        if (image.mode, mode) == ("CMYK", "L"):
            raise ValueError("conversion from CMYK to L not supported")
        return convert(image, mode, **options)

    monkeypatch.setattr(Image.Image, "convert", no_cmyk)
    source = folder(root=str(tmp_path), grey=True, on_error="skip")
    assert len(source.train) + len(source.val) == 8 and "bad.tif: cannot be made a picture" in source.left_out[0]
