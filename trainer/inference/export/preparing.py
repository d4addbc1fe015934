"""What a run does to a picture before its model sees it, as a module that an exported graph can hold."""

import torch
from torch import Tensor, nn

from trainer.data.decode import Frame
from trainer.data.denoise import denoise, neighbours
from trainer.feed.preprocessing import Preprocessing
from trainer.inference.export.resizing import Fitted

_GREY = (19595.0, 38470.0, 7471.0)
"""Pillow's shares of red, green and blue in grey, of 65536: ITU-R 601-2."""


class Prepared(nn.Module):
    """RGB pictures, uint8 (B, H, W, 3) of any size, as the model sees them: float32 (B, C, *size)."""

    grey: Tensor | None
    scale: Tensor
    offset: Tensor
    mean_image: Tensor | None

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        size, figures = preprocessing.size, preprocessing.normalisation
        self.denoise = preprocessing.denoise
        self.fit = Fitted(preprocessing.frame)
        self.resize = nn.Identity() if size == preprocessing.prepared_size else Fitted(Frame(size, fit="squish"))
        grey = torch.tensor(_GREY)[:, None, None]
        self.register_buffer("grey", grey if preprocessing.frame.grey else None)
        mean, std = (torch.tensor(each, dtype=torch.float64)[:, None, None] for each in (figures.mean, figures.std))
        self.register_buffer("scale", (1 / 255 / std).float())
        self.register_buffer("offset", (-mean / std).float())
        self.register_buffer("mean_image", figures.mean_image)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        if self.grey is not None:  # before it is resized, in whole numbers below 2^24: exact
            pixels = torch.floor(((pixels * self.grey).sum(dim=1, keepdim=True) + 32768) / 65536)
        pixels = self.resize(_filtered(self.fit(pixels), self.denoise))
        normalised: Tensor = pixels * self.scale + self.offset
        return normalised if self.mean_image is None else normalised - self.mean_image


def _filtered(pixels: Tensor, method: str) -> Tensor:
    if method == "none":
        return pixels
    if method == "median":  # as the fifth of nine: ONNX has no median
        return neighbours(pixels, radius=1).topk(5, dim=0).values[-1]
    return denoise(pixels.to(torch.uint8), method).float()
