"""AlexNet's successor, which won ImageNet 2013."""

from torch import nn

from trainer.model.layers import conv_layer, dense_layer
from trainer.model.staged import Chain
from trainer.model.weights import with_weights
from trainer.registry import MODELS
from trainer.schema import BelowOne, Count, HeadInit, Match


@MODELS.register
def zfnet(
    num_classes: int,
    in_channels: int,
    *,
    hidden: Count = 4096,
    dropout: BelowOne = 0.5,
    weights: str | None = None,
    head_init: HeadInit = "zero",
    match: Match = "name",
) -> Chain:
    """ZFNet of 2013: AlexNet with a finer first layer (7x7 by 2 instead of 11x11 by 4); 62.4 million parameters.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", figure 3. Made for 224 pixels, whose
    last maps are 6x6; those of other sizes, from 53 pixels up, are averaged to 6x6. Almost all of its parameters are in
    the dense layers, which hidden makes narrower.
    """
    return with_weights(
        Chain(
            conv1=nn.Sequential(_conv(in_channels, 96, 7, 2), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5)),
            conv2=nn.Sequential(_conv(96, 256, 5, 2, padding=0), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5)),
            conv3=_conv(256, 384),
            conv4=_conv(384, 384),
            conv5=nn.Sequential(_conv(384, 256), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(6), nn.Flatten()),
            dense1=dense_layer(256 * 36, hidden, activation="relu", batch_norm=False, dropout=dropout),
            dense2=dense_layer(hidden, hidden, activation="relu", batch_norm=False, dropout=dropout),
            head=nn.Linear(hidden, num_classes),
        ),
        weights,
        head_init,
        match,
    )


def _conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    return conv_layer(in_channels, out_channels, kernel, stride, padding=padding, batch_norm=False)
