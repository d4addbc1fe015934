"""MNIST (LeCun, Cortes, Burges 1998): 70,000 grey pictures of handwritten digits, 28 x 28."""

from pathlib import Path
from typing import Literal

from trainer.data.idx import idx_source
from trainer.data.source import Source
from trainer.registry import DATA
from trainer.schema import Share

CLASSES = tuple("0123456789")


@DATA.register
def mnist(*, root: str = "data", download: bool = False, val: Share | Literal["test"] = 0.1) -> Source:
    """MNIST: 60,000 grey 28 x 28 pictures of handwritten digits to train on, 10,000 to test on, 10 classes.

    Read from the IDX files, raw or gzipped, in root or in torchvision's folders below it.
    """
    advice = "Add data.download=true to fetch it."
    return idx_source(root, CLASSES, val, folder="MNIST", download=_download if download else None, advice=advice)


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST  # type: ignore[import-untyped]

    MNIST(root, download=True)
