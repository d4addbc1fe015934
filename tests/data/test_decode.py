"""Decoding: every colour mode to the right pixels, turned upright; bad files named."""

import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2 as tv  # type: ignore[import-untyped]

from trainer.data.decode import Frame, decode, framed, short_side
from trainer.errors import DataError
from trainer.schema import Fit
from trainer.size import Size, square

RED_AND_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8)  # 1 x 2


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_colour_and_grey_of_an_rgb_png(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(RED_AND_BLUE))
    assert decode(path).permute(1, 2, 0).tolist() == RED_AND_BLUE.tolist()
    assert decode(path, Frame(grey=True)).tolist() == [[[76, 29]]]  # 0.299 * 255 and 0.114 * 255


def test_grey_file_gives_three_equal_channels(tmp_path: Path) -> None:
    image = decode(save(tmp_path / "a.png", Image.new("L", (3, 2), 7)))
    assert image.shape == (3, 2, 3) and set(image.flatten().tolist()) == {7}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    image = decode(save(tmp_path / f"a{suffix}", Image.fromarray(values)), Frame(grey=True))
    assert image.tolist() == [[[0, 1, 128, 255]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 100.0, 255.0], [0, 100, 255]), ([-1.0, 0.0, 1.0], [0, 128, 255])],
)
def test_float_pixels_are_scaled_by_their_range(tmp_path: Path, values: list[float], expected: list[int]) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([values], dtype=np.float32)))
    assert decode(path, Frame(grey=True))[0, 0].tolist() == expected


def test_float_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)))
    with pytest.raises(DataError, match=r"a\.tif: .*not finite"):
        decode(path)


def test_one_bit_images_are_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[True, False]]))
    assert decode(save(tmp_path / "a.png", image), Frame(grey=True)).tolist() == [[[255, 0]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_lie_on_white(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (2, 1))
        image.putpalette([0, 0, 0, 9, 9, 9])
        image.putpixel((1, 0), 1)
        image.info["transparency"] = 0
    else:
        image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
        image.putpixel((1, 0), (9, 9, 9, 255))
        image = image.convert(mode)
    assert decode(save(tmp_path / "a.png", image))[:, 0].tolist() == [[255, 9]] * 3


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100)
    red, green, blue = decode(path).float().mean((1, 2)).tolist()
    assert red > 250 and green < 5 and blue < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = torch.arange(0, 240, 10).view(4, 6)
    upright = {  # EXIF 2.3: which side of the picture row 0 and column 0 are
        1: pixels, 2: pixels.flip(1), 3: pixels.flip(0, 1), 4: pixels.flip(0),
        5: pixels.T, 6: pixels.T.flip(1), 7: pixels.T.flip(0, 1), 8: pixels.T.flip(0),
    }[orientation]  # fmt: skip
    assert decode(save(tmp_path / "a.png", image, exif=exif), Frame(grey=True))[0].tolist() == upright.tolist()


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert decode(path)[:, 0, 0].tolist() == [255, 0, 0]


def test_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(RED_AND_BLUE), format="PNG")
    assert decode(path).shape == (3, 1, 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (50, 37), (16, 16)])
def test_side_gives_a_square_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    assert decode(save(tmp_path / "a.png", Image.new("RGB", size)), Frame(square(16))).shape == (3, 16, 16)


def test_square_is_cut_from_the_centre(tmp_path: Path) -> None:
    pixels = np.zeros((4, 12), dtype=np.uint8)
    pixels[:, 4:8] = 200
    path = save(tmp_path / "a.png", Image.fromarray(pixels))
    assert set(decode(path, Frame(square(4), grey=True)).flatten().tolist()) == {200}


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = decode(save(tmp_path / "a.png", Image.fromarray(stripes)), Frame(square(8), grey=True)).float()
    assert (small - 127.5).abs().max() < 12
    picked = torch.from_numpy(stripes)[4::8, 4::8].float()  # the control: every eighth pixel
    assert (picked - 127.5).abs().max() > 100


def test_jpeg_draft_agrees_with_full_decoding(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 256, dtype=np.uint8)
    picture = Image.fromarray(
        np.stack([np.tile(ramp, (256, 1)), np.tile(ramp[:, None], (1, 256)), np.full((256, 256), 90)], 2).astype(
            np.uint8
        )
    )
    jpeg = decode(save(tmp_path / "a.jpg", picture, quality=95), Frame(square(32))).float()
    png = decode(save(tmp_path / "a.png", picture), Frame(square(32))).float()
    assert (jpeg - png).abs().max() <= 4


def broken(path: Path, kind: str) -> Path:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    save(path, noise)
    whole = path.read_bytes()
    path.write_bytes(
        {"truncated": whole[: len(whole) // 2], "header": whole[:30], "empty": b"", "text": b"no image"}[kind]
    )
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("kind", ["truncated", "header", "empty", "text"])
def test_broken_file_is_named(tmp_path: Path, suffix: str, kind: str) -> None:
    with pytest.raises(DataError, match=rf"bad\{suffix}: ."):
        decode(broken(tmp_path / f"bad{suffix}", kind))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        decode(tmp_path / "gone.png")


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("ignore:Image size")
def test_decompression_bomb_is_refused_before_allocation(tmp_path: Path, side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"bomb\.png: refused.*too many pixels"):
        decode(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_postscript_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(DataError, match="not an image"):
        decode(path)


def test_short_side_reads_the_header_only(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(np.zeros((30, 70, 3), dtype=np.uint8)))
    path.write_bytes(path.read_bytes()[:-40])
    assert short_side(path) == 30
    with pytest.raises(DataError):
        decode(path)


METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def scene(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (9, 7), (24, 24)])
@pytest.mark.parametrize("method", METHODS)
def test_each_method_and_fit_is_pillows(tmp_path: Path, method: Any, size: tuple[int, int]) -> None:
    picture = scene(*size)
    path = save(tmp_path / "a.png", picture)
    resampling = METHODS[method]
    expected = {
        "crop": ImageOps.fit(picture, (24, 24), resampling),
        "squish": picture.resize((24, 24), resampling),
        "pad": ImageOps.pad(picture, (24, 24), resampling, color="black"),
    }
    for fit, image in expected.items():
        ours = decode(path, Frame(square(24), resize=method, fit=fit)).permute(1, 2, 0).numpy()  # type: ignore[arg-type]
        assert np.array_equal(ours, np.array(image)), fit


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (9, 7), (24, 24)])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.875, 0.5])
def test_a_share_of_the_square_or_of_each_side_is_pillows(method: Any, size: tuple[int, int], share: float) -> None:
    picture, resampling = scene(*size), METHODS[method]
    left, top = (each * (1 - share) / 2 for each in size)
    expected = {
        "crop": ImageOps.fit(picture, (24, 24), resampling, bleed=(1 - share) / 2),
        "squish": picture.resize((24, 24), resampling, box=(left, top, size[0] - left, size[1] - top)),
    }
    for fit, image in expected.items():
        frame = Frame(square(24), resize=method, fit=fit, crop_share=share)  # type: ignore[arg-type]
        assert np.array_equal(framed(picture, "", frame).permute(1, 2, 0).numpy(), np.array(image)), fit


@pytest.mark.parametrize("size", [(500, 400), (333, 500), (97, 101)])
def test_a_share_of_seven_eighths_is_a_crop_of_224_from_256_as_torchvision_takes_it(size: tuple[int, int]) -> None:
    x, y = np.meshgrid(*(np.linspace(0, 3, each) for each in size))
    waves = np.stack([np.sin(x + y), np.cos(2 * x), np.sin(3 * y - x)], axis=2)
    picture = Image.fromarray((127.5 + 120 * waves).astype(np.uint8))
    theirs = tv.Compose([tv.Resize(256), tv.CenterCrop(224), tv.PILToTensor()])(picture).int()
    assert (framed(picture, "", Frame(square(224), crop_share=0.875)).int() - theirs).abs().max() <= 3
    assert (framed(picture, "", Frame(square(224))).int() - theirs).abs().max() > 15  # the control


def test_a_jpeg_decodes_no_smaller_than_its_share_wants(tmp_path: Path) -> None:
    waves = 127.5 + 100 * np.sin(np.arange(256) * (np.pi / 8))  # a draft of 64 px would be 23 levels off
    picture = Image.fromarray(np.tile(waves, (256, 1)).astype(np.uint8))
    frame = Frame(square(64), grey=True, crop_share=0.5)
    jpeg = decode(save(tmp_path / "a.jpg", picture, quality=95), frame).float()
    assert (jpeg - framed(picture, "", frame).float()).abs().max() <= 4
    assert frame.draft == 128 and Frame(square(224), crop_share=0.875).draft == 256
    assert Frame(square(64), resize="nearest", crop_share=0.5).draft is None


def test_stores_and_fingerprints_of_before_there_was_a_share_stay_valid() -> None:
    assert repr(Frame(square(16), True)) == "Frame(side=16, grey=True, resize='bilinear', fit='crop')"
    other = (Frame(square(16), True), Frame(square(16), True, crop_share=0.6))
    assert repr(Frame(square(16), True, crop_share=0.5)) not in map(repr, other)


def test_methods_differ_and_only_nearest_aliases(tmp_path: Path) -> None:
    stripes = np.zeros((96, 96), dtype=np.uint8)
    stripes[:, ::2] = 255
    path = save(tmp_path / "a.png", Image.fromarray(stripes))
    found = {method: decode(path, Frame(square(18), grey=True, resize=method)).float() for method in METHODS}  # type: ignore[arg-type]
    for method, small in found.items():
        assert ((small - 127.5).abs().max() > 100) == (method == "nearest")
    path = save(tmp_path / "b.png", scene(60, 40))
    images = {decode(path, Frame(square(24), resize=method)).numpy().tobytes() for method in METHODS}  # type: ignore[arg-type]
    assert len(images) == 4


def test_nearest_takes_pixels_of_the_file_itself_from_a_jpeg_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", scene(128, 128), quality=95)
    small = decode(path, Frame(square(16), resize="nearest"))
    with Image.open(path) as picture:
        assert np.array_equal(small.permute(1, 2, 0).numpy(), np.array(picture.resize((16, 16), METHODS["nearest"])))


@pytest.mark.parametrize("fit", ["crop", "squish", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_every_fit_takes_any_shape(tmp_path: Path, size: tuple[int, int], fit: Any) -> None:
    assert decode(save(tmp_path / "a.png", Image.new("RGB", size)), Frame(square(16), fit=fit)).shape == (3, 16, 16)


@pytest.mark.parametrize("size", [(200, 60), (60, 200), (164, 48), (40, 24), (9, 7)])
@pytest.mark.parametrize("seen", [Size(48, 80), Size(40, 24)])
@pytest.mark.parametrize("method", METHODS)
def test_each_method_and_fit_of_a_rectangle_is_pillows(method: Any, seen: Size, size: tuple[int, int]) -> None:
    picture, resampling, (height, width) = scene(*size), METHODS[method], seen
    across, down = min(size[0], size[1] * width / height), min(size[1], size[0] * height / width)
    left, top = (size[0] - across) // 2, (size[1] - down) // 2  # from a whole pixel on
    expected = {
        "crop": picture.resize((width, height), resampling, box=(left, top, left + across, top + down)),
        "squish": picture.resize((width, height), resampling),
    }
    contained = ImageOps.contain(picture, (width, height), resampling)
    expected["pad"] = Image.new("RGB", (width, height))
    expected["pad"].paste(contained, ((width - contained.width) // 2, (height - contained.height) // 2))
    for fit, image in expected.items():
        ours = framed(picture, "", Frame(seen, resize=method, fit=fit)).permute(1, 2, 0).numpy()  # type: ignore[arg-type]
        assert np.array_equal(ours, np.array(image)), fit


def test_the_crop_of_a_rectangle_lies_in_the_middle_and_has_its_proportions() -> None:
    y, x = np.meshgrid(np.arange(120.0), np.arange(240.0), indexing="ij")
    ramps = Image.fromarray(np.stack([x, 2 * y, 0 * x], axis=2).astype(np.uint8))
    seen = framed(ramps, "", Frame(Size(48, 80))).float()  # 200 of 240 pixels across, all of 120 down
    assert seen[0, 0].tolist() == pytest.approx((20 + (np.arange(80) + 0.5) * 2.5 - 0.5).tolist(), abs=0.6)
    assert seen[1, :, 0].tolist() == pytest.approx((2 * ((np.arange(48) + 0.5) * 2.5 - 0.5)).tolist(), abs=1.1)
    share = framed(ramps, "", Frame(Size(48, 80), crop_share=0.5)).float()
    assert share[0, 0].tolist() == pytest.approx((70 + (np.arange(80) + 0.5) * 1.25 - 0.5).tolist(), abs=0.6)


def test_a_photograph_on_its_side_keeps_its_detail_in_a_rectangle(tmp_path: Path) -> None:
    waves = 127.5 + 100 * np.sin(np.arange(512) * (np.pi / 8))
    picture, exif = Image.fromarray(np.tile(waves, (512, 1)).astype(np.uint8)), Image.Exif()
    exif[0x0112] = 6
    frame = Frame(Size(64, 256), grey=True, fit="squish")
    upright = framed(picture.transpose(Image.Transpose.ROTATE_270), "", frame).float()
    jpeg = decode(save(tmp_path / "a.jpg", picture, quality=95, exif=exif), frame).float()
    assert (jpeg - upright).abs().max() <= 4 and frame.draft == 256


@pytest.mark.parametrize("fit", ["crop", "squish", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_any_picture_becomes_a_rectangle(size: tuple[int, int], fit: Fit) -> None:
    assert framed(Image.new("RGB", size), "", Frame(Size(12, 30), fit=fit)).shape == (3, 12, 30)


def test_a_rectangle_has_stores_of_its_own() -> None:
    frames = [Frame(Size(16, 24)), Frame(Size(24, 16)), Frame(square(16)), Frame(square(24))]
    assert repr(frames[0]) == "Frame(side=[16, 24], grey=False, resize='bilinear', fit='crop')"
    assert len(set(map(repr, frames))) == 4
