"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of animals and vehicles, 32 x 32."""

from trainer.data.assemble import Wishes
from trainer.data.cifar import cifar_source
from trainer.data.source import Source
from trainer.registry import DATA
from trainer.schema import BelowOne, Denoise, Folds, Level, Normalise, UpToOne, Validation, Whole


@DATA.register
def cifar10(
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
    """CIFAR-10: 50,000 colour 32 x 32 pictures of animals and vehicles to train on, 10,000 to test on, 10 classes.

    Read by torchvision from root/cifar-10-batches-py; every file's checksum is checked.
    """
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]

    return cifar_source(
        CIFAR10,
        root,
        Wishes(val, folds, fold, normalise, mean, std, denoise, wrong_labels),
        download=download,
        grey=grey,
    )
