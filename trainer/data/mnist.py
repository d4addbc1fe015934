"""MNIST (LeCun, Cortes, Burges 1998): 70,000 grey pictures of handwritten digits, 28 x 28."""

from pathlib import Path

from trainer.data.assemble import Wishes
from trainer.data.idx import idx_source
from trainer.data.source import Source
from trainer.registry import DATA
from trainer.schema import BelowOne, Denoise, Folds, Level, Normalise, UpToOne, Validation, Whole

CLASSES = tuple("0123456789")


@DATA.register
def mnist(
    *,
    root: str = "data",
    download: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    wrong_labels: BelowOne = 0.0,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
) -> Source:
    """MNIST: 60,000 grey 28 x 28 pictures of handwritten digits to train on, 10,000 to test on, 10 classes.

    Read from the IDX files, raw or gzipped, in root or in torchvision's folders below it.
    """
    advice = "Add data.download=true to fetch it."
    wishes, fetch = (
        Wishes(val, folds, fold, normalise, mean, std, denoise, wrong_labels),
        _download if download else None,
    )
    return idx_source(root, CLASSES, wishes, folder="MNIST", download=fetch, advice=advice)


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST  # type: ignore[import-untyped]

    MNIST(root, download=True)
