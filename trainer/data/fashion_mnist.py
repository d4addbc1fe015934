"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 grey pictures of clothes, 28 x 28."""

from pathlib import Path

from trainer.data.assemble import Wishes
from trainer.data.idx import idx_source
from trainer.data.source import Source
from trainer.registry import DATA
from trainer.schema import BelowOne, Denoise, Folds, Level, Normalise, UpToOne, Validation, Whole

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@DATA.register
def fashion_mnist(
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
    """Fashion-MNIST: 60,000 grey 28 x 28 pictures of clothes to train on, 10,000 to test on, 10 classes.

    Read from the IDX files, raw or gzipped, in root or in torchvision's folders below it.
    """
    advice = (
        "Add data.download=true to fetch it, or on Debian `apt-get install dataset-fashion-mnist` "
        "and set data.root=/usr/share/datasets/fashion-mnist"
    )
    wishes, fetch = (
        Wishes(val, folds, fold, normalise, mean, std, denoise, wrong_labels),
        _download if download else None,
    )
    return idx_source(root, CLASSES, wishes, folder="FashionMNIST", download=fetch, advice=advice)


def _download(root: Path) -> None:
    from torchvision.datasets import FashionMNIST  # type: ignore[import-untyped]

    FashionMNIST(root, download=True)
