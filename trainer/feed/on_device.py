"""Images on a GPU: decoded ones that fit stay there, and a batch is gathered where it is used."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.errors import DataError
from trainer.feed.cache import gib
from trainer.feed.store import Store
from trainer.schema import Cache
from trainer.system.upload import upload, upload_all

_SHARE = 0.5
"""Of the device's free memory. The rest is for the model, and for what it works out."""
_BLOCK = 256
"""Images that are carried there at a time."""


@dataclass(frozen=True)
class DeviceStore:
    """All images on a device, uint8 (N, C, H, W), in the order of the samples; labels and keys stay where they were."""

    labels: Tensor
    keys: Sequence[str]
    pixels: Tensor
    resident = True

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        """On the device. No more than the orders are carried there, and all of them at once."""
        for order in upload_all(orders, self.pixels.device):
            yield self.pixels[order]

    def __len__(self) -> int:
        return len(self.pixels)


def carried(store: Store, device: torch.device) -> DeviceStore:
    """The store's images on the device, whatever keeps them here."""
    pixels = torch.empty((len(store), *store.shape), dtype=torch.uint8, device=device)
    blocks = torch.split(torch.arange(len(store)), _BLOCK)
    for part, images in zip(torch.split(pixels, _BLOCK), store.gather(blocks), strict=True):
        part.copy_(upload(images, device))
    return DeviceStore(store.labels, store.keys, pixels)


def on_device(stores: Sequence[Store], wanted: Cache, device: torch.device, free: int) -> tuple[list[Store], str]:
    """The stores, carried to the device where they are to lie there and fit; and the line that says so, or nothing.

    free: bytes that the device has left. wanted: 'device', or 'auto', which takes what is decoded already. Raises
    DataError if they are to lie there and do not fit.
    """
    num_bytes = sum(len(store) * math.prod(store.shape) for store in stores)
    fits = num_bytes <= _SHARE * free
    if wanted == "device" and not fits:
        raise DataError(
            f"data.cache: device has {gib(free)} left, and the decoded images take {gib(num_bytes)}, more than half of "
            f"it. Use data.cache=auto."
        )
    if not fits or wanted not in ("auto", "device") or (wanted == "auto" and not all(each.resident for each in stores)):
        return list(stores), ""
    note = (
        f"data.cache={wanted}: the decoded images ({gib(num_bytes)}) also lie on the GPU, where batches are gathered."
    )
    return [carried(store, device) for store in stores], note
