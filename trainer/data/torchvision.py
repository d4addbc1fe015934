"""Any classification set that torchvision.datasets reads, by the name of its class."""

import contextlib
import hashlib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median_low
from typing import Any

import torch
from torch import Tensor

from trainer.data.assemble import Wishes, assemble
from trainer.data.decode import Frame, framed
from trainer.data.files import size_note, sizes
from trainer.data.keep import Keep
from trainer.data.marks import marks, sample
from trainer.data.source import Samples, Source
from trainer.errors import ConfigError, DataError, did_you_mean
from trainer.registry import DATA
from trainer.schema import (
    Cache,
    Denoise,
    Fit,
    Folds,
    Level,
    Normalise,
    Pixels,
    Positive,
    Resize,
    UpToOne,
    Validation,
    Whole,
)

Arguments = dict[str, str | int | bool]


def _by(argument: str, **values: str | bool) -> dict[str, Arguments]:
    """The argument that gives each part of a set."""
    return {part: {argument: value} for part, value in values.items()}


_FLAG = _by("train", train=True, test=False)
_TWO = _by("split", train="train", test="test")
_THREE = _by("split", train="train", val="val", test="test")
_NO_TEST = _by("split", train="train", test="val")  # the answers to its test part are not published
_WHOLE: dict[str, Arguments] = {"train": {}}
SETS: dict[str, dict[str, Arguments]] = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", "EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS"), _FLAG),
    **dict.fromkeys(("Food101", "GTSRB", "LFWPeople", "STL10", "SVHN", "StanfordCars"), _TWO),
    **dict.fromkeys(("DTD", "FGVCAircraft", "Flowers102", "PCAM", "RenderedSST2"), _THREE),
    **dict.fromkeys(("CLEVRClassification", "ImageNet", "Imagenette"), _NO_TEST),
    **dict.fromkeys(("Caltech101", "Caltech256", "EuroSAT", "SEMEION", "SUN397"), _WHOLE),
    "Country211": _by("split", train="train", val="valid", test="test"),
    "FER2013": _by("split", train="train"),
    "INaturalist": _by("version", train="2021_train", test="2021_valid"),
    "OxfordIIITPet": _by("split", train="trainval", test="test"),
    "Places365": _by("split", train="train-standard", test="val"),
}
_SIZES_MEASURED = 200
_LABELS = ("targets", "labels", "_labels", "y")
_NAMES = ("classes", "categories", "all_categories")


@DATA.register
def torchvision(
    *,
    set: str,
    root: str = "data",
    download: bool = False,
    arguments: dict[str, str | int | bool] | None = None,
    size: Pixels | None = None,
    prepare: Pixels | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    crop_share: UpToOne | None = None,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
) -> Source:
    """Any classification set of torchvision.datasets by its class name: Flowers102, Food101, DTD, EuroSAT, SVHN, ...

    Its parts are those it has itself: where it has no validation part, a share is held out; where the answers to the
    test part are not published, its validation part is the test part. Raises ConfigError for a name or an argument
    that there is not, and DataError if the set cannot be read from root.
    """
    if set not in SETS:
        raise ConfigError(f"data.set: torchvision has no '{set}'.{did_you_mean(set, SETS)} There is {', '.join(SETS)}.")
    reader = getattr(import_module("torchvision.datasets"), set)
    _check_arguments(reader, arguments or {}, SETS[set])
    datasets = {
        part: _open(reader, root, download, {**(arguments or {}), **chosen}) for part, chosen in SETS[set].items()
    }
    median = _median_short_side(datasets["train"])
    seen, kept = sizes(median, size, prepare)
    frame = Frame(kept, grey, resize, fit, crop_share or 1.0)
    origin = f"{set}{sorted((arguments or {}).items())} {_files_below(Path(root).expanduser())}"
    parts: dict[str, Samples] = {
        part: TorchvisionSamples(dataset, f"{set}, {part} part", origin, _labels(dataset), frame)
        for part, dataset in datasets.items()
    }
    classes = _classes(datasets["train"], 1 + max(int(part.labels.max()) for part in parts.values()))
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    keep, note = Keep(cache, cache_dir, cache_limit), size_note(median, seen, frame)
    return assemble(classes, parts, wishes, size=seen, keep=keep, frame=frame, notes=[note])


@dataclass(frozen=True)
class TorchvisionSamples:
    """The images of one of torchvision's data sets, read when they are asked for."""

    dataset: Any
    name: str
    origin: str
    labels: Tensor
    frame: Frame
    groups = None

    @property
    def keys(self) -> Sequence[str]:
        return [f"{index:07d}" for index in range(len(self))]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frame.shape

    def image(self, index: int) -> Tensor:
        where = f"{self.name}, image {index}"
        return framed(_item(self.dataset, index, where)[0], where, self.frame)

    def digest(self) -> bytes:
        return hashlib.sha256(f"{self.name} {self.frame}".encode() + self.image(0).numpy().tobytes()).digest()

    def version(self) -> bytes:
        return hashlib.sha256(self.origin.encode() + self.digest()).digest()

    def __len__(self) -> int:
        return len(self.labels)


def _files_below(root: Path) -> str:
    """A checksum of the names, lengths, marks and samples of all files below root, which other sets may share."""
    digest, entered, found = hashlib.sha256(), set(), list[Path]()
    for base, folders, names in os.walk(root.absolute(), followlinks=True):
        folders.sort()
        about = Path(base).stat()
        if (about.st_dev, about.st_ino) in entered:  # a link that leads back
            folders.clear()
            continue
        entered.add((about.st_dev, about.st_ino))
        for path in (Path(base, name) for name in sorted(names)):
            with contextlib.suppress(OSError):  # a link that leads nowhere
                about = path.stat()
                digest.update(f"{path}\0{about.st_size}\0{marks(about)}\0".encode(errors="surrogateescape"))
                found.append(path)
    return digest.hexdigest() + sample(found).hex()


def _check_arguments(reader: Any, arguments: Mapping[str, Any], parts: Mapping[str, Arguments]) -> None:
    """Against the reader's own signature."""
    name = reader.__name__
    parameters = inspect.signature(reader).parameters
    ours = {
        "root",
        "download",
        "transform",
        "target_transform",
        "loader",
        *(word for each in parts.values() for word in each),
    }
    takes = [word for word in parameters if word not in ours and word != "kwargs"]
    for word in arguments:
        if word not in takes:
            hint = did_you_mean(word, takes) or (f" It takes {', '.join(takes)}." if takes else " It takes none.")
            raise ConfigError(f"data.arguments: {name} has no argument '{word}' that can be set here.{hint}")
    for word in takes:
        if parameters[word].default is inspect.Parameter.empty and word not in arguments:
            raise ConfigError(f"data.set={name}: it needs '{word}'. Say data.arguments={{{word}: …}}")


def _open(reader: Any, root: str, download: bool, arguments: Arguments) -> Any:
    """The data set, downloaded only on request."""
    name, base = reader.__name__, Path(root).expanduser()
    parameters = inspect.signature(reader).parameters
    can_download = "download" in parameters or ("kwargs" in parameters and name != "ImageNet")
    if download and not can_download:
        raise ConfigError(f"data.download=true: torchvision cannot download {name}. Put its files into {base}.")
    if can_download:
        arguments = {**arguments, "download": download}
    try:
        return reader(base, **arguments)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"data.arguments: {name}: {_one_line(error)}") from error
    except ImportError as error:
        raise ConfigError(f"data.set={name}: {_one_line(error)}. Install that package.") from error
    except (OSError, RuntimeError) as error:
        advice = "The download failed" if download else f"Put it into {base}"
        if can_download and not download:
            advice += ", or add data.download=true to fetch it"
        reason = _one_line(error).split(" You can use")[0].rstrip(".")  # download=True, which is not our word for it
        raise DataError(f"data.set={name}: {reason}. {advice}.") from error


def _item(dataset: Any, index: int, where: str) -> tuple[Any, int]:
    try:
        image, label = dataset[index]
    except Exception as error:  # each reader raises what its format leads it to
        raise DataError(f"{where}: cannot be read ({_one_line(error)}).") from error
    return image, int(label)


def _labels(dataset: Any) -> Tensor:
    """(N,) int64: the list that the reader keeps, if its items agree; else of each item, which reads all images."""
    kept = next((getattr(dataset, name) for name in _LABELS if hasattr(dataset, name)), None)
    if kept is None and hasattr(dataset, "_samples"):
        kept = [label for _, label in dataset._samples]
    probes = {0, len(dataset) // 2, len(dataset) - 1}
    if kept is not None and len(kept) == len(dataset):
        labels = torch.as_tensor(kept).to(torch.int64)
        if all(int(labels[index]) == _item(dataset, index, f"image {index}")[1] for index in probes):
            return labels
    return torch.tensor([_item(dataset, index, f"image {index}")[1] for index in range(len(dataset))])


def _classes(dataset: Any, count: int) -> list[str]:
    """The names that the reader gives, or numbers."""
    found: Sequence[Any] = next((getattr(dataset, name) for name in _NAMES if hasattr(dataset, name)), [])
    words = [word[0] if isinstance(word, tuple) else str(word) for word in found]
    return words if len(words) >= count and len({*words}) == len(words) else [str(number) for number in range(count)]


def _median_short_side(dataset: Any) -> int:
    step = -(-len(dataset) // _SIZES_MEASURED)
    images = (_item(dataset, index, f"image {index}")[0] for index in range(0, len(dataset), step))
    return int(median_low(min(image.size) for image in images))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
