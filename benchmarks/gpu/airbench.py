"""airbench's network and its step, by hand: for how fast they are, not for what they learn.

Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", sections 3 and A. The images lie on the device, and all
are moved and mirrored there once an epoch; what computes is half precision but for batch norm, on a GPU. Left out are
what costs no time (how layers begin, the schedule) and the average of the weights.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

WIDTHS = (64, 256, 256)
WHITENING = 24
"""Channels of the first layer: both signs of every direction of a patch of 2 x 2 pixels."""
_MOVED = 2
"""Pixels."""


class _Norm(nn.BatchNorm2d):
    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


def network(widths: tuple[int, ...] = WIDTHS) -> nn.Sequential:
    """For colour images of 32 pixels, and ten classes."""
    whitening = nn.Conv2d(3, WHITENING, 2)
    whitening.weight.requires_grad = False
    layers: list[nn.Module] = [whitening, nn.GELU()]
    for before, width in pairwise((WHITENING, *widths)):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.MaxPool2d(2), _Norm(width), nn.GELU()]
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), _Norm(width), nn.GELU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(widths[-1], 10, bias=False))


def epochs_of(images: Tensor, labels: Tensor, batch_size: int, widths: tuple[int, ...]) -> Callable[[], int]:
    """What trains for an epoch when it is called, and tells its images. images: uint8 (N, 3, 32, 32) on the device."""
    device = images.device
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    model = network(widths).to(device, dtype, memory_format=torch.channels_last)
    for layer in model.modules():
        if isinstance(layer, _Norm):
            layer.float()
    learnt = [each for each in model.parameters() if each.requires_grad]
    groups = [{"params": [each for each in learnt if each.dim() > 1]}, {"params": [e for e in learnt if e.dim() == 1]}]
    optimizer = torch.optim.SGD(groups, lr=1e-3, momentum=0.85, nesterov=True, weight_decay=0.01)
    padded = pad((images / 255 - 0.5).to(dtype), [_MOVED] * 4, "reflect").permute(0, 2, 3, 1)  # (N, H, W, 3)

    def epoch() -> int:
        model.train()
        order = torch.randperm(len(images), device=device)
        moved = _augmented(padded)
        batches = order.split(batch_size)[: max(1, len(images) // batch_size)]
        for batch in batches:
            logits = model(moved[batch]) / 9
            loss = cross_entropy(logits, labels[batch], label_smoothing=0.2, reduction="none").sum() / batch_size
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return sum(map(len, batches))

    return epoch


def _augmented(padded: Tensor) -> Tensor:
    """(N, 3, H, W) in channels last: each cut out at a place of its own, and half of them mirrored."""
    count, size, device = len(padded), padded.shape[1] - 2 * _MOVED, padded.device
    rows, columns = (torch.randint(0, 2 * _MOVED + 1, (count, 1), device=device) for _ in range(2))
    places = torch.arange(size, device=device)
    columns = columns + torch.where(torch.rand(count, 1, device=device) < 0.5, places, places.flip(0))
    cut = padded[torch.arange(count, device=device)[:, None, None], (rows + places)[:, :, None], columns[:, None]]
    return cut.permute(0, 3, 1, 2)
