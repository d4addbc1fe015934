"""How a picture becomes what the model sees: one meaning for training, evaluation, prediction and export."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainer.aug.policy import Policy
from trainer.aug.sampling import Blend, blended
from trainer.aug.transform import Transform
from trainer.data.decode import Frame, decode, framed, upright
from trainer.data.denoise import denoise
from trainer.data.formats import Packed
from trainer.data.source import Source
from trainer.errors import DataError
from trainer.feed.normalise import Normalisation, centred
from trainer.schema import Denoise, Normalised
from trainer.size import Size, size_of

Picture = Path | Packed | Image.Image | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before the model sees it. It is stored with the run, and with its best weights."""

    frame: Frame
    """Decoding: colour or grey, resized and fitted into frame.size."""
    size: Size
    """Of what the model sees."""
    normalisation: Normalisation
    normalise: Normalised = "mean_std"
    """The method that gave the normalisation's figures."""
    denoise: Denoise = "none"

    @property
    def channels(self) -> int:
        return 1 if self.frame.grey else 3

    @property
    def prepared_size(self) -> Size:
        """Of a prepared picture: no less than the model sees, unless a set has no more."""
        return self.frame.size or self.size

    def plain(self) -> dict[str, Any]:
        """As run.json and checkpoints hold it: read(plain) gives the same again."""
        return {
            "channels": self.channels,
            "prepared_size": self.prepared_size.plain,
            "size": self.size.plain,
            "resize": self.frame.resize,
            "fit": self.frame.fit,
            "crop_share": self.frame.crop_share,
            "denoise": self.denoise,
            "normalise": self.normalise,
            **self.normalisation.plain(),
        }

    def prepared(self, picture: Picture, where: str = "the image") -> Tensor:
        """The decoded, fitted and filtered picture: uint8 (C, *prepared_size).

        picture: a file's path, a file in an archive, a Pillow image, or an array (H, W), (H, W, 1 or 3 or 4) of uint8.
        Raises DataError, with the file's path or where, for what cannot be read.
        """
        if isinstance(picture, Path | Packed):
            pixels = decode(picture, self.frame)
        else:
            image = _from_array(picture, where) if isinstance(picture, np.ndarray) else picture
            pixels = framed(upright(image), where, self.frame)
        return pixels if self.denoise == "none" else denoise(pixels[None], self.denoise)[0]

    def transform(
        self,
        policy: Policy = Policy(),  # noqa: B008  # frozen
        *,
        device: torch.device,
        channels_last: bool = False,
        dtype: torch.dtype = torch.float32,
        blend: Blend = blended,
    ) -> Callable[..., Tensor]:
        """From prepared batches, uint8 (B, C, *prepared_size) on the device, to what the model sees: (B, C, *size).

        Given draws as well, the policy's augmentation is applied. blend: what makes up for the warp.
        """
        mean, std, image = self.normalisation.mean, self.normalisation.std, self.normalisation.mean_image
        transform = Transform(policy, self.size, mean, std, channels_last, dtype, blend)
        return transform if image is None else centred(transform, image.to(device))


def of_source(source: Source, normalisation: Normalisation) -> Preprocessing:
    """What the images of a set go through. Pixels that a set has at hand are taken as they are, where they fit."""
    frame = source.frame or Frame(Size(*source.train.shape[1:]), grey=source.channels == 1)
    return Preprocessing(frame, source.size, normalisation, source.normalise, source.denoise)


def read(plain: Mapping[str, Any]) -> Preprocessing:
    """What plain() has written. Raises KeyError, TypeError or ValueError for anything else."""
    image, size = plain.get("mean_image"), size_of(plain["size"])
    if image is not None:
        values = np.frombuffer(b64decode(image), dtype=np.float32).copy()
        image = torch.from_numpy(values).view(int(plain["channels"]), *size)
    mean, std = (tuple(float(value) for value in plain[key]) for key in ("mean", "std"))
    share = float(plain.get("crop_share", 1.0))  # older runs saw all of it
    frame = Frame(size_of(plain["prepared_size"]), plain["channels"] == 1, plain["resize"], plain["fit"], share)
    return Preprocessing(frame, size, Normalisation(mean, std, image), plain["normalise"], plain["denoise"])


def _from_array(array: np.ndarray[Any, Any], where: str) -> Image.Image:
    """Raises DataError for an array that is no picture."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise DataError(
            f"{where}: an array of {array.dtype} {array.shape} is no picture. Give uint8 (height, width) or "
            f"(height, width, 3)."
        )
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)
