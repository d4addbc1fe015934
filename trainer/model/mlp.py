"""Linear layers alone."""

from itertools import pairwise

from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.layers import dense_layer
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import Activation, BelowOne, Count, HeadInit, Match


@MODELS.register
def mlp(
    num_classes: int,
    in_channels: int,
    *,
    depth: Count = 3,
    width: Count = 512,
    image_size: Count = 16,
    activation: Activation = "relu",
    batch_norm: bool = False,
    dropout: BelowOne = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> "MLP":
    """A network of linear layers alone, which knows nothing of neighbouring pixels: what a CNN has to beat.

    The image is averaged down to image_size x image_size and flattened; then depth dense layers of width units, each
    with batch norm where asked, the activation and dropout; then the linear head. Smaller images are refused.
    """
    features = in_channels * image_size**2
    widths = (features, *[width] * depth)
    layers: dict[str, nn.Module] = {
        f"layer{number}": dense_layer(before, after, activation=activation, batch_norm=batch_norm, dropout=dropout)
        for number, (before, after) in enumerate(pairwise(widths), start=1)
    }
    pixels = nn.Sequential(nn.AdaptiveAvgPool2d(image_size), nn.Flatten())
    model = MLP(pixels=pixels, **layers, head=nn.Linear(width, num_classes))
    model.image_size = image_size
    return with_weights(model, weights, head_init, match)


class MLP(Chain):
    """The chain, which says so when an image is smaller than what it was built for."""

    image_size: int

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if min(height, width) < self.image_size:
            raise ConfigError(
                f"model 'mlp': it is built for {self.image_size} pixels, and the images have {height}x{width}. "
                f"Set model.image_size={min(height, width)}."
            )
        return super().forward(images)
