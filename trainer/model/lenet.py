"""The first convolutional network that read digits for a living."""

from torch import nn

from trainer.model.layers import conv_layer, dense_layer
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import Activation, BelowOne, HeadInit, Match


@MODELS.register
def lenet(
    num_classes: int,
    in_channels: int,
    *,
    activation: Activation = "tanh",
    batch_norm: bool = False,
    dropout: BelowOne = 0.0,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """LeNet-5 of 1998: two 5x5 convolutions, each mean-pooled, and three linear layers; 61,706 parameters on digits.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B, as it is built today:
    every map of the second convolution sees all of the first's, pooling has no weights, the last layer gives logits.
    Made for 28 pixels, whose maps are 5x5 before the first linear layer; those of other sizes are averaged to 5x5.
    batch_norm: after each convolution and after each dense layer but the last.
    """
    first = conv_layer(in_channels, 6, 5, activation=activation, batch_norm=batch_norm)
    second = conv_layer(6, 16, 5, padding=0, activation=activation, batch_norm=batch_norm)
    return with_weights(
        Chain(
            conv1=first.append(nn.AvgPool2d(2)),
            conv2=second.append(nn.AvgPool2d(2)).append(nn.AdaptiveAvgPool2d(5)).append(nn.Flatten()),
            dense1=dense_layer(16 * 25, 120, activation=activation, batch_norm=batch_norm, dropout=dropout),
            dense2=dense_layer(120, 84, activation=activation, batch_norm=batch_norm, dropout=dropout),
            head=nn.Linear(84, num_classes),
        ),
        weights,
        head_init,
        match,
    )
