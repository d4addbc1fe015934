"""A deep network of equal layers, for experiments with initialisations, activations and norms."""

from torch import nn

from trainer.errors import ConfigError
from trainer.model.layers import conv_layer, pooled_head
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import Activation, BelowOne, Count, HeadInit, Match, Pooling, Whole


@MODELS.register
def plain_cnn(
    num_classes: int,
    in_channels: int,
    *,
    depth: Count = 10,
    width: Count = 64,
    halvings: Whole = 2,
    activation: Activation = "relu",
    batch_norm: bool = False,
    pooling: Pooling = "average",
    dropout: BelowOne = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """A deep network of equal 3x3 convolutions without shortcuts: what it learns depends on how its weights start.

    depth convolutions of width channels, each followed by batch norm where asked and by the activation; halvings of
    them, spread evenly, take every second pixel. Without batch norm it is what `inspect` and LSUV are about.
    """
    if halvings >= depth:
        raise ConfigError(
            f"model 'plain_cnn': {halvings} halvings want {halvings + 1} layers at least, and depth={depth}. "
            f"Raise model.depth, or lower model.halvings."
        )
    halving = {depth * number // (halvings + 1) for number in range(1, halvings + 1)}
    layers: dict[str, nn.Module] = {}
    for number in range(depth):
        before, stride = in_channels if number == 0 else width, 2 if number in halving else 1
        layer = conv_layer(before, width, stride=stride, activation=activation, batch_norm=batch_norm)
        layers[f"layer{number + 1}"] = layer
    return with_weights(
        Chain(**layers, head=pooled_head(width, num_classes, dropout, pooling)), weights, head_init, match
    )
