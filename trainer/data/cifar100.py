"""CIFAR-100 (Krizhevsky 2009): 60,000 colour pictures of 100 kinds of things, 32 x 32."""

from trainer.data.assemble import Wishes
from trainer.data.cifar import cifar_source
from trainer.data.source import Source
from trainer.registry import DATA
from trainer.schema import BelowOne, Denoise, Folds, Level, Normalise, UpToOne, Validation, Whole


@DATA.register
def cifar100(
    *,
    root: str = "data",
    download: bool = False,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    wrong_labels: BelowOne = 0.0,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
) -> Source:
    """CIFAR-100: 50,000 colour 32 x 32 pictures of all kinds of things to train on, 10,000 to test on, 100 classes.

    Read by torchvision from root/cifar-100-python; every file's checksum is checked.
    """
    from torchvision.datasets import CIFAR100  # type: ignore[import-untyped]

    return cifar_source(
        CIFAR100,
        root,
        Wishes(val, folds, fold, normalise, mean, std, denoise, wrong_labels),
        download=download,
        grey=grey,
    )
