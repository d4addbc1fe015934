"""An image file as a uint8 tensor: whatever its colour mode, turned upright, without surprises."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from trainer.errors import DataError
from trainer.schema import Fit, Resize

SUFFIXES = (".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # none that starts another program, as EPS does
_MOST_PIXELS = 89_478_485  # a quarter of a gigabyte in RGB: where Pillow starts to warn
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
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # _open refuses such images in our words


@dataclass(frozen=True)
class Packed:
    """An image file that lies in an archive: its name in messages, and what reads its bytes, in any thread."""

    name: str
    read: Callable[[], bytes]

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Its bytes, as a file. Raises DataError if the archive does not give them."""
        try:
            return io.BytesIO(self.read())
        except Exception as error:  # the readers of archives raise whatever broken bytes lead them to
            raise DataError(f"{self.name}: {_reason(error)}.") from error

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Frame:
    """What becomes of a picture: one channel or three, and how it fills a square of `side` pixels.

    side: None leaves the size as it is. fit: 'crop' takes the central square, 'squish' changes the proportions, 'pad'
    puts black beside or above and below. resize: the method; all but 'nearest' are antialiased.
    """

    side: int | None = None
    grey: bool = False
    resize: Resize = "bilinear"
    fit: Fit = "crop"


_AS_IT_IS = Frame()


def decode(path: Path | Packed, frame: Frame = _AS_IT_IS) -> Tensor:
    """The image of a file, upright, in its frame: uint8 (3 or 1, H, W).

    Transparent pixels lie on white. 16 bits are scaled to 8; float pixels count as 0 to 1, or 0 to 255 if some are
    above 1; other ranges are stretched from their least to their greatest. An animation gives its first frame.
    Raises DataError with the file and the reason: unreadable, truncated, or more than 89 million pixels.
    """
    return framed(_load(path, frame), str(path), frame)


def framed(image: Image.Image, where: str, frame: Frame) -> Tensor:
    """The pixels of an image that Pillow has opened, as decode gives them; where: its name in messages."""
    image = _to_eight_bits(image, where)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if frame.grey else "RGB"
    if image.mode != mode:  # else it would be copied
        image = image.convert(mode)
    if frame.side:
        image = _square(image, frame.side, frame)
    pixels = np.asarray(image)  # (H, W) or (H, W, 3)
    return torch.from_numpy((pixels[None] if frame.grey else pixels.transpose(2, 0, 1)).copy())


def short_side(path: Path) -> int:
    """The shorter side in pixels, from the file's header alone. Raises DataError as decode does."""
    with _open(path) as image:
        return min(image.size)


def _open(path: Path | Packed) -> Image.Image:
    try:
        image = Image.open(path.open() if isinstance(path, Packed) else path, formats=_FORMATS)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{path}: refused, its header claims too many pixels (above {_MOST_PIXELS:,}).") from None
    except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to
        raise DataError(f"{path}: {_reason(error)}.") from error
    if image.width * image.height > _MOST_PIXELS:
        image.close()
        raise DataError(f"{path}: refused, its header claims too many pixels (above {_MOST_PIXELS:,}).")
    return image


def _load(path: Path | Packed, frame: Frame) -> Image.Image:
    """The pixels as they are stored, upright."""
    with _open(path) as image:
        try:
            if frame.side and frame.resize != "nearest":  # a draft is antialiased
                size = frame.side, frame.side
                image.draft(None, size)  # a JPEG decodes at a half, a quarter, an eighth: never below the size
            image.load()
            return upright(image)  # all of it was read: the file may close
        except Exception as error:  # as above
            raise DataError(f"{path}: {_reason(error)}.") from error


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say that the camera was held."""
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"broken or truncated ({error or type(error).__name__})"


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
    scaled = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # one by one: doubles of all would take eight times the memory
        scaled[row] = ((line.astype(np.float64) - low) * (255.0 / max(high - low, 1e-12))).round()
    return Image.fromarray(scaled)


def _square(image: Image.Image, side: int, frame: Frame) -> Image.Image:
    """Cropped and resized in one step: a very long image never becomes a huge one on the way."""
    method = _METHODS[frame.resize]
    if frame.fit == "squish":
        return image.resize((side, side), method)
    if frame.fit == "crop":
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        return image.resize((side, side), method, box=(left, top, left + short, top + short))
    scale = side / max(image.size)
    width, height = (max(1, round(each * scale)) for each in image.size)
    result = Image.new(image.mode, (side, side))
    result.paste(image.resize((width, height), method), ((side - width) // 2, (side - height) // 2))
    return result
