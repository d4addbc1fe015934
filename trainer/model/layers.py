"""The layers that the project's own networks are made of."""

from torch import nn


def conv_norm(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, act: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, unless act is false, ReLU; at stride 1 an odd kernel keeps height and width."""
    # The norm subtracts the mean, and with it any bias: a bias would be a parameter without effect.
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if act else nn.Sequential(*layers)


def pooled_head(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Global average pooling, dropout and a linear layer: (B, C, H, W) -> (B, num_classes), whatever H and W are."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(in_channels, num_classes)
    )
