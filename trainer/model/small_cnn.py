"""A small convolutional network in its modern form."""

from itertools import pairwise

from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.layers import SqueezeExcitation, blur_pool, conv_layer, noise_first, pooled_head
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import Activation, BelowOne, Count, HeadInit, Match, NonNegative, Pooling


@MODELS.register
def small_cnn(
    num_classes: int,
    in_channels: int,
    *,
    widths: list[Count] = [16, 64, 128],  # noqa: B006 - read only; the signature is the schema
    depth: Count = 2,
    activation: Activation = "relu",
    pooling: Pooling = "average",
    blur_pool: bool = False,
    squeeze_excitation: bool = False,
    dropout: BelowOne = 0.0,
    noise: NonNegative = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> "SmallCNN":
    """A small, fast network for small images: conv, batch norm, ReLU, halved between stages, pooled, linear.

    The stem is one convolution at full size, because that is where a convolution costs most; each further width is a
    stage: a max pool that halves the image, then depth convolutions, then squeeze-and-excitation where asked. With
    blur_pool the maximum is taken at every pixel and a blur does the halving.
    """
    if not widths:
        raise ConfigError(
            "model 'small_cnn': widths is empty; it needs one number of channels at least, as in [32, 64]."
        )
    if len(widths) == 1:
        _refuse_what_needs_a_stage(blur_pool, squeeze_excitation)
    stages: dict[str, nn.Module] = {"stem": conv_layer(in_channels, widths[0], activation=activation)}
    for number, (before, width) in enumerate(pairwise(widths), start=1):
        stage = nn.Sequential(_blurred_max_pool() if blur_pool else nn.MaxPool2d(2))
        for first in (True, *[False] * (depth - 1)):
            stage.append(conv_layer(before if first else width, width, activation=activation))
        if squeeze_excitation:
            stage.append(SqueezeExcitation(width))
        stages[f"stage{number}"] = stage
    head = pooled_head(widths[-1], num_classes, dropout, pooling)
    return with_weights(SmallCNN(**noise_first(noise), **stages, head=head), weights, head_init, match)


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


def _blurred_max_pool() -> nn.Sequential:
    return nn.Sequential(nn.MaxPool2d(2, stride=1), blur_pool())


def _refuse_what_needs_a_stage(blur_pool: bool, squeeze_excitation: bool) -> None:
    for option, said in {"blur_pool": blur_pool, "squeeze_excitation": squeeze_excitation}.items():
        if said:
            raise ConfigError(
                f"model 'small_cnn': {option} acts in the stages after the stem, and one width makes none. "
                f"Give model.widths two numbers or more, or leave {option} out."
            )
