"""An image file as a uint8 tensor: whatever its colour mode, turned upright, without surprises."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainer.data.formats import Packed, opened, reason
from trainer.errors import DataError
from trainer.schema import Fit, Resize
from trainer.size import Size

_ORIENTATION = 0x0112
_METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = tuple(turn for number, turn in _TURNS.items() if number >= 5)


@dataclass(frozen=True)
class Frame:
    """What becomes of a picture: one channel or three, and how it fills `size`.

    size: None leaves it as it is. fit: 'crop' takes the largest part of these proportions from the centre, 'squish'
    changes the proportions, 'pad' puts black beside it or above and below. resize: the method; all but 'nearest' are
    antialiased. crop_share: how much of that part's sides is seen, about its centre; of the picture's own sides with
    'squish'; 1 with 'pad'.
    """

    size: Size | None = None
    grey: bool = False
    resize: Resize = "bilinear"
    fit: Fit = "crop"
    crop_share: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every picture in the frame."""
        assert self.size
        return (1 if self.grey else 3), *self.size

    @property
    def draft(self) -> int | None:
        """Pixels on a side below which a file must not be decoded, as it may lie on its side; None: decoded whole."""
        antialiased = self.resize != "nearest"  # as a draft is
        return math.ceil(max(self.size) / self.crop_share) if self.size and antialiased else None

    def __repr__(self) -> str:
        """Stores and fingerprints go by it: where the share is 1, as before there was one, so that they stay valid."""
        share = f", crop_share={self.crop_share!r}" if self.crop_share != 1 else ""
        return f"Frame(side={self.size!r}, grey={self.grey!r}, resize={self.resize!r}, fit={self.fit!r}{share})"


_AS_IT_IS = Frame()


def decode(path: Path | Packed, frame: Frame = _AS_IT_IS) -> Tensor:
    """The image of a file, upright, in its frame: uint8 (3 or 1, H, W).

    Transparent pixels lie on white. 16 bits are scaled to 8; float pixels count as 0 to 1, or 0 to 255 if some are
    above 1; other ranges are stretched from their least to their greatest. An animation gives its first frame.
    Raises DataError with the file and the reason: unreadable, truncated, or more than 89 million pixels.
    """
    return framed(_load(path, frame.draft), str(path), frame)


def framed(image: Image.Image, where: str, frame: Frame) -> Tensor:
    """The pixels of an image that Pillow has opened, as decode gives them; where: its name in messages."""
    try:
        image = _flat(_to_eight_bits(image, where), "L" if frame.grey else "RGB")
        if frame.size:
            image = _fitted(image, frame.size, frame)
    except DataError:
        raise
    except Exception as error:  # not every mode has a way to every other, and a picture may have no pixels
        what = f"{image.mode}, {image.width} x {image.height}"
        raise DataError(f"{where}: cannot be made a picture ({what}: {error or type(error).__name__}).") from error
    pixels = np.asarray(image)  # (H, W) or (H, W, 3)
    return torch.from_numpy((pixels[None] if frame.grey else pixels.transpose(2, 0, 1)).copy())


def short_side(path: Path | Packed) -> int:
    """The shorter side in pixels, from the file's header alone. Raises DataError as decode does."""
    with opened(path) as image:
        return min(image.size)


def header(path: Path | Packed) -> tuple[str, Size]:
    """The colour mode, by Pillow's name, and the size upright, from the file's header alone. Raises as decode does."""
    with opened(path) as image:
        size = Size(image.height, image.width)
        return image.mode, Size(size.width, size.height) if _turn(image) in _ON_ITS_SIDE else size


def _load(path: Path | Packed, draft: int | None) -> Image.Image:
    """The pixels as they are stored, upright. draft: a JPEG decodes at a half, a quarter, an eighth: never below it."""
    with opened(path) as image:
        try:
            if draft:
                image.draft(None, (draft, draft))
            image.load()
        except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to
            if draft:
                return _load(path, None)  # a lossless JPEG decodes whole or not at all
            raise DataError(f"{path}: {reason(error, path)}.") from error
        return upright(image)  # all of it was read: the file may close


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say that the camera was held."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as above: what stands beside the pixels is broken, and they are not
        return None


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """In grey or in colour, transparent pixels on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow has no way from it to grey
    return image if image.mode == mode else image.convert(mode)  # else it would be copied


def _to_eight_bits(image: Image.Image, where: str) -> Image.Image:
    """Deep grey pixels scaled to 8 bits; Pillow's own conversion would clip them to white."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())  # NaN if there is any
    if not np.isfinite([low, high]).all():
        raise DataError(f"{where}: some of its pixels are not finite numbers.")
    steps = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    fitting = [step for step in steps if low >= 0 and high <= step]
    if fitting:
        low, high = 0.0, fitting[0]
    clear = image.info.get("transparency")  # a grey that a PNG says is none
    scaled = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # one by one: doubles of all would take eight times the memory
        scaled[row] = ((line.astype(np.float64) - low) * (255.0 / max(high - low, 1e-12))).round()
        if isinstance(clear, int):
            scaled[row, line == clear] = 255
    return Image.fromarray(scaled)


def _fitted(image: Image.Image, size: Size, frame: Frame) -> Image.Image:
    """Cropped and resized in one step: a very long image never becomes a huge one on the way."""
    method = _METHODS[frame.resize]
    if frame.fit != "pad":
        return image.resize((size.width, size.height), method, box=_seen(*image.size, size, frame))
    scale = min(Fraction(size.width, image.width), Fraction(size.height, image.height))
    width, height = (max(1, round(each * scale)) for each in image.size)
    result = Image.new(image.mode, (size.width, size.height))
    result.paste(image.resize((width, height), method), ((size.width - width) // 2, (size.height - height) // 2))
    return result


def _seen(width: int, height: int, size: Size, frame: Frame) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is resized: the share of the largest part of these proportions, or of all."""
    sides: tuple[float, float] = width, height
    if frame.fit == "crop":
        sides = min(width, height * size.width / size.height), min(height, width * size.height / size.width)
    left, top = (
        (whole - side) // 2 + side * (1 - frame.crop_share) / 2
        for whole, side in zip((width, height), sides, strict=True)
    )
    return left, top, left + sides[0] * frame.crop_share, top + sides[1] * frame.crop_share
