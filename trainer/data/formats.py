"""Which files are pictures: those that Pillow reads in bounded memory, and without another program's help."""

import contextlib
import ctypes
import errno
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

import PIL
from PIL import Image, UnidentifiedImageError

from trainer.errors import DataError, first_line
from trainer.system.durable import LFS_BEGINS, LFS_POINTER

_ENDINGS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .pjp .pjpeg .mpo",
    "PNG": ".png .apng",
    "WEBP": ".webp",
    "TIFF": ".tif .tiff",
    "BMP": ".bmp",
    "GIF": ".gif",
    "PPM": ".pbm .pgm .ppm .pnm .pfm",
    "AVIF": ".avif .avifs",
    "JPEG2000": ".jp2 .j2k .jpc .jpf .jpx .j2c",
    "ICO": ".ico",
    "ICNS": ".icns",
    "CUR": ".cur",
    "PSD": ".psd",
    "QOI": ".qoi",
    "DDS": ".dds",
    "BLP": ".blp",
    "FTEX": ".ftc .ftu",
    "DCX": ".dcx",
    "FLI": ".fli .flc",
    "GBR": ".gbr",
    "MSP": ".msp",
    "PIXAR": ".pxr",
    "SUN": ".ras",
    "XBM": ".xbm",
    "XPM": ".xpm",
    "DIB": ".dib",
    "PCD": ".pcd",
    "PCX": ".pcx",
    "SGI": ".bw .rgb .rgba .sgi",
    "TGA": ".tga .icb .vda .vst",
    "HEIF": ".heic .heics .heif .heifs .hif",
    "JXL": ".jxl",
}
"""By the names that Pillow gives the formats. HEIF it reads with a package, JXL not here: such a file's reason says so.

None that starts another program (EPS), reads what is in it by way of any format (IPTC), unpacks without a bound in some
releases of Pillow (FITS), goes from it soon (IM), or has no pixels that it reads (WMF, PDF, MPEG, BUFR, GRIB, HDF5).
"""
_BY_NAME = ("DIB", "PCD", "PCX", "SGI", "TGA")
"""Begin with two bytes of their own or none, so that anything could be taken for them: these need the ending too."""
_FORMAT_OF = {ending: name for name, endings in _ENDINGS.items() for ending in endings.split()}
SUFFIXES = frozenset(_FORMAT_OF)
"""How the name of a picture ends."""
_MOST_PIXELS = 89_478_485  # a quarter of a gigabyte in RGB: where Pillow starts to warn
_TOO_MANY = f"refused, its header claims too many pixels (above {_MOST_PIXELS:,})"
_HEAD = 64
_HEIF = "HEIC, which Pillow reads with the package pillow-heif (pip install 'trainer[heic]')"
_KINDS = (
    (re.compile(re.escape(LFS_BEGINS)), LFS_POINTER),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "a web page, not an image (its download went wrong)"),
    (re.compile(rb"....ftyp(hei|hev|(mif1|msf1)(?!.*avif))", re.DOTALL), _HEIF),
    (re.compile(rb"....ftyp.*avi[fs]", re.DOTALL), f"AVIF that Pillow {PIL.__version__} cannot read"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL, which is not read here (convert it to PNG)"),
)
"""How files begin that are often found in a picture's place, and what they are."""


@dataclass(frozen=True)
class Packed:
    """An image file that lies in an archive: its name in messages, and what reads its bytes, in any thread."""

    name: str
    read: Callable[[], bytes]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Its bytes, as a file. Raises OSError if the archive does not give them."""
        try:
            return io.BytesIO(self.read())
        except Exception as error:  # the readers of archives raise whatever broken bytes lead them to
            raise OSError(errno.EIO, f"broken in its archive ({first_line(error).rstrip('.')})") from error

    def __str__(self) -> str:
        return self.name


warnings.filterwarnings("ignore", module=r"PIL\.")  # of what is odd beside the pixels: nobody can act on that
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # refused in our words


def opened(path: Path | Packed) -> Image.Image:
    """The picture in a file, its header read; what is in the file decides, and not how its name ends.

    Raises DataError with the file and the reason: not a picture, broken, or more than 89 million pixels.
    """
    try:
        image = _opened(path)
    except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to
        raise DataError(f"{path}: {reason(error, path)}.") from error
    if image.width * image.height > _MOST_PIXELS:
        image.close()
        raise DataError(f"{path}: {_TOO_MANY}.")
    return image


def reason(error: Exception, path: Path | Packed) -> str:
    """Why a file could not be read, in words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return _TOO_MANY
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kind = _kind(path)
    if kind and not (kind is _HEIF and _reads_heif()):
        return kind
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    return f"broken or truncated ({str(error) or type(error).__name__})"


def _opened(path: Path | Packed) -> Image.Image:
    try:
        return Image.open(_readable(path), formats=_tried(path.suffix.lower()))
    except Exception:
        if _kind(path) is not _HEIF or not _reads_heif():
            raise
        return Image.open(_readable(path), formats=("HEIF",))


def _readable(path: Path | Packed) -> Path | BinaryIO:
    return path if isinstance(path, Path) else path.open()


@cache
def _tried(ending: str) -> tuple[str, ...]:
    """The formats that a file is tried for, that of its ending first."""
    Image.init()
    _silence_libtiff()
    own = [_FORMAT_OF[ending]] if ending in _FORMAT_OF else []
    signed = [name for name in _ENDINGS if name not in _BY_NAME]
    return tuple(name for name in dict.fromkeys(own + signed) if name in Image.OPEN and name not in ("HEIF", "JXL"))


def _silence_libtiff() -> None:
    """It prints what is odd in a file above our own lines, from C; what matters of that, Pillow raises."""
    library = ctypes.CDLL(import_module("PIL._imaging").__file__)  # finds what Pillow is linked with, too
    for name in ("TIFFSetWarningHandler", "TIFFSetErrorHandler"):
        with contextlib.suppress(AttributeError):  # linked otherwise: its lines stay
            getattr(library, name)(None)


@cache
def _reads_heif() -> bool:
    """Whether Pillow reads HEIF: it does from now on where the package for it is installed."""
    try:
        package = import_module("pillow_heif")
    except ImportError:
        return False
    package.register_heif_opener()
    return True


def _kind(path: Path | Packed) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    return next((words for pattern, words in _KINDS if pattern.match(head)), None)
