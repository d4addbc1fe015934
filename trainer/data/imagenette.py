"""Imagenette and Imagewoof (Howard 2019, github.com/fastai/imagenette): ten easy, and ten hard, classes of ImageNet."""

import os
import shutil
import tarfile
from pathlib import Path
from typing import Literal
from urllib.error import URLError

from trainer.data.assemble import Wishes
from trainer.data.files import Look, file_source
from trainer.data.folder import scan
from trainer.data.keep import Keep
from trainer.data.source import Source
from trainer.errors import DataError
from trainer.registry import DATA
from trainer.schema import (
    Cache,
    Denoise,
    Fit,
    Folds,
    Level,
    Normalise,
    Pixels,
    Positive,
    Resize,
    UpToOne,
    Validation,
    Whole,
)

IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
IMAGEWOOF = {
    "n02086240": "Shih-Tzu",
    "n02087394": "Rhodesian ridgeback",
    "n02088364": "beagle",
    "n02089973": "English foxhound",
    "n02093754": "Border terrier",
    "n02096294": "Australian terrier",
    "n02099601": "golden retriever",
    "n02105641": "Old English sheepdog",
    "n02111889": "Samoyed",
    "n02115641": "dingo",
}
_ADDRESS = "https://s3.amazonaws.com/fast-ai-imageclas"


@DATA.register
def imagenette(
    *,
    root: str = "data",
    variant: Literal["160px", "320px", "full"] = "160px",
    download: bool = False,
    size: Pixels | None = None,
    prepare: Pixels | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    crop_share: UpToOne | None = None,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
) -> Source:
    """Imagenette: 9,469 photographs of ten easily told things to train on, 3,925 to test on.

    Class folders as published, in root/imagenette2-160 (-320, or nothing for full), or root itself. The published
    validation part, on which the leaderboard measures, serves as the test part.
    """
    wishes, look = (
        Wishes(val, folds, fold, normalise, mean, std, denoise),
        Look(size, prepare, grey, resize, fit, crop_share),
    )
    keep = Keep(cache, cache_dir, cache_limit)
    return _published("imagenette2", IMAGENETTE, root, variant, download, look, wishes, keep)


@DATA.register
def imagewoof(
    *,
    root: str = "data",
    variant: Literal["160px", "320px", "full"] = "160px",
    download: bool = False,
    size: Pixels | None = None,
    prepare: Pixels | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    crop_share: UpToOne | None = None,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
) -> Source:
    """Imagewoof: 9,025 photographs of ten breeds of dog, hard to tell apart, to train on, 3,929 to test on.

    Class folders as published, in root/imagewoof2-160 (-320, or nothing for full), or root itself. The published
    validation part, on which the leaderboard measures, serves as the test part.
    """
    wishes, look = (
        Wishes(val, folds, fold, normalise, mean, std, denoise),
        Look(size, prepare, grey, resize, fit, crop_share),
    )
    keep = Keep(cache, cache_dir, cache_limit)
    return _published("imagewoof2", IMAGEWOOF, root, variant, download, look, wishes, keep)


def _published(
    name: str, classes: dict[str, str], root: str, variant: str, download: bool, look: Look, wishes: Wishes, keep: Keep
) -> Source:
    base = Path(root).expanduser()
    archive = name if variant == "full" else f"{name}-{variant.removesuffix('px')}"
    folder = base if (base / "train").is_dir() else base / archive
    if not folder.is_dir() and download:
        fetch(f"{_ADDRESS}/{archive}.tgz", base, archive)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Add data.download=true to fetch it.")
    parts, notes = scan(folder)
    if set(parts) != {"train", "val"} or parts["train"].classes != tuple(classes):
        raise DataError(f"{folder}: not the folders train and val with the ten classes {', '.join(classes)}.")
    for files in parts.values():
        files.images = [file._replace(label=classes[str(file.label)]) for file in files.images]
        files.classes = tuple(classes.values())
    found = {"train": parts["train"], "test": parts["val"]}
    return file_source(tuple(classes.values()), found, look, wishes, keep, notes)


def fetch(address: str, base: Path, name: str) -> None:
    """Downloads an archive and leaves the one folder in it as base/name, whole or not at all. Raises DataError.

    What the archive would write outside its folder is refused.
    """
    from torchvision.datasets.utils import download_url  # type: ignore[import-untyped]

    place = base / f"{name}.{os.getpid()}.tmp"
    try:
        download_url(address, str(place), "archive.tgz")
        with tarfile.open(place / "archive.tgz") as archive:
            archive.extractall(place / "unpacked", filter="data")
        (place / "unpacked" / name).rename(base / name)
    except (OSError, RuntimeError, tarfile.TarError, EOFError, URLError) as error:
        raise DataError(f"{address}: the download failed: {' '.join(str(error).split())}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
