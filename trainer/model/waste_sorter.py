"""A two-class sorter of waste, as one of the tutorials behind this project built it."""

from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.layers import conv_layer, dense_layer
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import BelowOne, Count, HeadInit, Match

SMALLEST = 45
"""Pixels that leave one value a channel behind both convolutions and poolings."""


@MODELS.register
def waste_sorter(
    num_classes: int,
    in_channels: int,
    *,
    image_size: Count = 225,
    batch_norm: bool = False,
    dropout: BelowOne = 0.5,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> "WasteSorter":
    """Two convolutions with large windows, one dense layer: 2 million parameters; for few classes at 225 pixels.

    Convolution 16x16 to 64 channels, max pool 3, convolution 8x8 to 32, max pool 3, dense 128, dropout, dense
    num_classes; ReLU between. The convolutions are not padded: 225 -> 210 -> 70 -> 63 -> 21 pixels, so the dense layer
    sees 21 * 21 * 32 values. image_size: what it is built for; maps of larger images are averaged to that size, smaller
    images are refused. batch_norm: after the dense layer.
    """
    side = ((image_size - 15) // 3 - 7) // 3
    if image_size < SMALLEST:
        raise ConfigError(f"model 'waste_sorter': image_size={image_size} is too small; it takes {SMALLEST} and more.")
    pool = nn.Sequential(nn.MaxPool2d(3), nn.AdaptiveAvgPool2d(side), nn.Flatten())
    model = WasteSorter(
        conv1=conv_layer(in_channels, 64, 16, padding=0, batch_norm=False).append(nn.MaxPool2d(3)),
        conv2=conv_layer(64, 32, 8, padding=0, batch_norm=False).append(pool),
        dense=dense_layer(32 * side**2, 128, activation="relu", batch_norm=batch_norm, dropout=dropout),
        head=nn.Linear(128, num_classes),
    )
    model.image_size = image_size
    return with_weights(model, weights, head_init, match)


class WasteSorter(Chain):
    """The chain, which says so when an image is smaller than what it was built for."""

    image_size: int

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if min(height, width) < self.image_size:
            raise ConfigError(
                f"model 'waste_sorter': it is built for {self.image_size} pixels, and the images have "
                f"{height}x{width}. Set data.size={self.image_size}, or model.image_size lower (from {SMALLEST})."
            )
        return super().forward(images)
