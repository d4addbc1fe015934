"""The pictures of a page, small and inside it; and pictures.json, which keeps them for when it is drawn again."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from trainer.errors import CheckpointError
from trainer.records.folder import read_json, write_json

_PREFIX = "data:image/webp;base64,"
_SIDE = 144
"""Pixels on a side of what is kept, at most; smaller ones are enlarged to half of it at least, in whole steps."""
_HEAT = ((0.0, 0.10, 0.55), (0.10, 0.55, 0.95), (0.55, 0.95, 0.55), (1.0, 0.85, 0.15), (0.95, 0.20, 0.10))
"""Colours of a map, from what counted least to what counted most."""


@dataclass(frozen=True)
class Sample:
    """A training image: as it is, and as the model saw it. cells: pictures, under the page's headings, with words."""

    label: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mistake:
    """A picture that was answered wrongly. map: where the network saw what it answered; empty where none is known.

    Where a picture has several labels, label has all of them, and prediction is the one that is wrong.
    """

    path: str
    label: str
    prediction: str
    probability: float
    picture: str = ""
    map: str = ""
    missed: bool = False
    """Of several labels: the picture has the one that is wrong."""


@dataclass(frozen=True)
class Pictures:
    """All that is kept of a run. part: of which the mistakes are."""

    headings: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    part: str = "validation"
    mistakes: tuple[Mistake, ...] = ()


def drawn(image: Tensor) -> str:
    """A picture for a page. image: float (C, H, W) in [0, 1]."""
    return _encoded(_enlarged(image))


def overlaid(image: Tensor, heat: Tensor) -> str:
    """The picture, grey, under a map in colours. heat: (H, W) in [0, 1]."""
    grey = _enlarged(image.mean(dim=0, keepdim=True).expand(3, -1, -1))
    side = grey.shape[-2:]
    smooth = interpolate(heat[None, None], side, mode="bilinear", align_corners=False)[0, 0].clamp(0, 1)
    colours = torch.tensor(_HEAT)
    place = smooth * (len(colours) - 1)
    low = place.floor().long().clamp(max=len(colours) - 2)
    share = (place - low)[..., None]
    coloured = (colours[low] * (1 - share) + colours[low + 1] * share).permute(2, 0, 1)
    strength = 0.25 + 0.45 * smooth  # what counted little stays visible as what it is
    return _encoded(grey * (1 - strength) + coloured * strength)


def write_pictures(path: Path, pictures: Pictures) -> None:
    """Keeps them. Raises OutputError."""
    write_json(path, asdict(pictures))


def read_pictures(path: Path) -> Pictures:
    """Those that were kept; none where there are none, or where the file is not what was written."""
    try:
        stored = read_json(path)
        return Pictures(
            tuple(map(str, stored.get("headings", ()))),
            tuple(_sample(each) for each in stored.get("samples", ())),
            str(stored.get("part", "validation")),
            tuple(_mistake(each) for each in stored.get("mistakes", ())),
        )
    except (CheckpointError, KeyError, TypeError, ValueError):
        return Pictures()


def _sample(stored: Mapping[str, Any]) -> Sample:
    return Sample(str(stored["label"]), tuple((_checked(picture), str(words)) for picture, words in stored["cells"]))


def _mistake(stored: Mapping[str, Any]) -> Mistake:
    picture, heat = _checked(stored["picture"]), _checked(stored["map"])
    path, label, prediction = (str(stored[key]) for key in ("path", "label", "prediction"))
    missed = bool(stored.get("missed", False))
    return Mistake(path, label, prediction, float(stored["probability"]), picture, heat, missed)


def _checked(picture: str) -> str:
    """A picture that lies in the text itself: a file from a stranger fetches nothing."""
    return picture if picture.startswith(_PREFIX) else ""


def _enlarged(image: Tensor) -> Tensor:
    """(3, H, W), neither too small to be looked at nor larger than it is shown."""
    image = image.float().clamp(0, 1).expand(3, -1, -1)
    height, width = image.shape[-2:]
    times = max(1, _SIDE // 2 // max(height, width))
    if times > 1:
        return image.repeat_interleave(times, 1).repeat_interleave(times, 2)
    share = min(1.0, _SIDE / max(height, width))
    if share == 1.0:
        return image
    size = (max(1, round(height * share)), max(1, round(width * share)))
    return interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def _encoded(image: Tensor) -> str:
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
    file = BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "WEBP", quality=82, method=2)
    return _PREFIX + b64encode(file.getvalue()).decode()
