"""A small convolutional network in its modern form."""

from itertools import pairwise

from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.layers import conv_norm, pooled_head
from trainer.model.staged import Chain
from trainer.registry import MODELS
from trainer.schema import BelowOne, Count


@MODELS.register
def small_cnn(
    num_classes: int,
    in_channels: int,
    *,
    widths: list[Count] = [16, 64, 128],  # noqa: B006 - read only; the signature is the schema
    depth: Count = 2,
    dropout: BelowOne = 0.0,
) -> Chain:
    """A small, fast network for small images: conv, batch norm, ReLU, halved between stages, pooled, linear.

    The stem is one convolution at full size, because that is where a convolution costs most; each further width is a
    stage: a max pool that halves the image, then depth convolutions.
    """
    if not widths:
        raise ConfigError(
            "model 'small_cnn': widths is empty; it needs one number of channels at least, as in [32, 64]."
        )
    stages: dict[str, nn.Module] = {"stem": conv_norm(in_channels, widths[0])}
    for number, (before, width) in enumerate(pairwise(widths), start=1):
        convs = [conv_norm(before if first else width, width) for first in (True, *[False] * (depth - 1))]
        stages[f"stage{number}"] = nn.Sequential(nn.MaxPool2d(2), *convs)
    return SmallCNN(**stages, head=pooled_head(widths[-1], num_classes, dropout))


class SmallCNN(Chain):
    """The chain, which says so when an image is too small for its halvings."""

    def forward(self, images: Tensor) -> Tensor:
        halvings = len(self.stages) - 2  # all but stem and head
        smallest, (height, width) = 2**halvings, images.shape[-2:]
        if min(height, width) < smallest:
            raise ConfigError(
                f"model 'small_cnn': images of {height}x{width} pixels vanish after {halvings} halvings; it takes "
                f"{smallest} and more. Set a larger data.size, or fewer model.widths (each after the first halves)."
            )
        return super().forward(images)
