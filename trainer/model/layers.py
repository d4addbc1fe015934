"""The layers that the project's own networks are made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer.schema import Activation, Pooling

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def conv_layer(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    padding: int | None = None,
    activation: Activation | None = "relu",
    batch_norm: bool = True,
) -> nn.Sequential:
    """Convolution, then batch norm and activation where asked. padding: None keeps the size."""
    # A norm subtracts the mean, and with it any bias: a bias would be a parameter without effect.
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=not batch_norm)
    norms = [nn.BatchNorm2d(out_channels)] if batch_norm else []
    return nn.Sequential(conv, *norms, *([ACTIVATIONS[activation]()] if activation else []))


def dense_layer(
    in_features: int, out_features: int, *, activation: Activation, batch_norm: bool, dropout: float = 0.0
) -> nn.Sequential:
    """A linear layer, batch norm where asked, activation and dropout: (B, in_features) -> (B, out_features)."""
    norms = [nn.BatchNorm1d(out_features)] if batch_norm else []
    linear = nn.Linear(in_features, out_features, bias=not batch_norm)
    return nn.Sequential(linear, *norms, ACTIVATIONS[activation](), nn.Dropout(dropout))


def pooled_head(in_channels: int, num_classes: int, dropout: float, pooling: Pooling = "average") -> nn.Sequential:
    """Global pooling, dropout and a linear layer: (B, C, H, W) -> (B, num_classes), whatever H and W are."""
    features = 2 * in_channels if pooling == "concatenated" else in_channels
    return nn.Sequential(POOLINGS[pooling](), nn.Flatten(), nn.Dropout(dropout), nn.Linear(features, num_classes))


def blur_pool() -> nn.Sequential:
    """Halves height and width (rounded up) through a 3x3 binomial blur, edges repeated: (B, C, H, W).

    Zhang 2019, "Making Convolutional Networks Shift-Invariant Again": sampling every second pixel without a blur lets
    the output jump when the image moves by one. A 2x2 mean twice IS that blur. Leaving the border out of the first
    mean repeats the edge, and unlike a padding layer it is repeatable on a GPU.
    """
    return nn.Sequential(nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False), nn.AvgPool2d(2, stride=2))


class GlobalMaxPool(nn.Module):
    """The largest value of each channel: (B, C, H, W) -> (B, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3), keepdim=True)


class ConcatenatedPool(nn.Module):
    """Each channel's mean, then each channel's largest value: (B, C, H, W) -> (B, 2C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)], dim=1)


POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "average": lambda: nn.AdaptiveAvgPool2d(1),
    "max": GlobalMaxPool,
    "concatenated": ConcatenatedPool,
}


class SqueezeExcitation(nn.Module):
    """Weighs each channel by a factor in (0, 1) that a small network reads off the means of all of them.

    Hu et al. 2018, "Squeeze-and-Excitation Networks", section 3; reduction 16, but at least 4 channels in between.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(4, channels // 16)
        self.squeeze = nn.Conv2d(channels, between, 1)
        self.excite = nn.Conv2d(between, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        factors: Tensor = self.excite(self.squeeze(means).relu()).sigmoid()
        return x * factors


class StochasticDepth(nn.Module):
    """In training the values of a whole sample are zero with this probability, the others scaled up to make up for it.

    Huang et al. 2016, "Deep Networks with Stochastic Depth", with the scaling in training instead of in prediction.
    """

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.drop == 0:
            return x
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.drop).div_(1 - self.drop)

    def extra_repr(self) -> str:
        return f"drop={self.drop:g}"


class GaussianNoise(nn.Module):
    """Adds normal noise of this std in training; in prediction it does nothing."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x

    def extra_repr(self) -> str:
        return f"std={self.std:g}"


def noise_first(std: float) -> dict[str, nn.Module]:
    """The noise as a step before the stem of a Chain; nothing where std is 0."""
    return {"noise": GaussianNoise(std)} if std else {}
