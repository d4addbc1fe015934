"""Published sets: CIFAR-100, Imagenette and Imagewoof as they are unpacked, and all that torchvision reads."""

import hashlib
import importlib
import inspect
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from shared import open_store

from trainer.data import imagenette as imagenette_module
from trainer.data.cifar100 import cifar100
from trainer.data.fingerprint import fingerprint
from trainer.data.imagenette import IMAGENETTE, IMAGEWOOF, imagenette, imagewoof
from trainer.data.source import Source
from trainer.data.torchvision import SETS
from trainer.data.torchvision import torchvision as torchvision_part
from trainer.errors import ConfigError, DataError


def photo(path: Path, number: int, size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number, 2 * number, 0)).save(path)


def publish(folder: Path, ids: dict[str, str]) -> Path:
    for part, count in (("train", 4), ("val", 2)):
        for number, wordnet in enumerate(ids):
            for index in range(count):
                photo(folder / part / wordnet / f"{wordnet}_{index}.JPEG", 10 * number)
    return folder


@pytest.mark.parametrize(
    ("part", "name", "ids"), [(imagenette, "imagenette2", IMAGENETTE), (imagewoof, "imagewoof2", IMAGEWOOF)]
)
@pytest.mark.parametrize(("variant", "suffix"), [("160px", "-160"), ("320px", "-320"), ("full", "")])
def test_folders_as_published_get_readable_names_and_the_published_validation_part_tests(
    tmp_path: Path, part: object, name: str, ids: dict[str, str], variant: str, suffix: str
) -> None:
    assert callable(part)
    folder = publish(tmp_path / f"{name}{suffix}", ids)
    source: Source = part(root=str(tmp_path), variant=variant, val=0.25)
    assert source.test is not None
    assert source.classes == tuple(ids.values()) and len(ids) == 10
    assert (len(source.train), len(source.val), len(source.test)) == (30, 10, 20)
    for key, label in zip(source.test.keys, source.test.labels.tolist(), strict=True):
        assert key.split("/")[0] == list(ids)[label]
    assert len(part(root=str(folder), val="test").val) == 20


def test_readable_names_are_wordnets() -> None:
    """Those of ILSVRC 2012, whose list torchvision carries with its weights, where the two name the same class."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    own = {"English foxhound", "church", "chain saw", "French horn"}
    named = [*IMAGENETTE.values(), *IMAGEWOOF.values()]
    assert {name for name in named if name not in _IMAGENET_CATEGORIES} <= own
    assert len({*IMAGENETTE, *IMAGEWOOF}) == 20 == len(set(named))


def test_a_set_that_is_missing_or_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"imagenette2-160.*data\.download=true"):
        imagenette(root=str(tmp_path))
    publish(tmp_path / "imagewoof2-160", IMAGENETTE)
    with pytest.raises(DataError, match="not the folders train and val with the ten classes n02086240"):
        imagewoof(root=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["imagewoof2-160"]


def served(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    def deliver(address: str, root: str, name: str) -> None:
        assert address.startswith("https://")
        Path(root).mkdir(parents=True)
        (Path(root) / name).write_bytes(content)

    monkeypatch.setattr("torchvision.datasets.utils.download_url", deliver)


def test_a_download_is_unpacked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "made" / "imagenette2-160", IMAGENETTE)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "made" / "imagenette2-160", "imagenette2-160")
    served(monkeypatch, packed.getvalue())
    source = imagenette(root=str(tmp_path / "data"), download=True)
    assert len(source.train) == 30 and [path.name for path in (tmp_path / "data").iterdir()] == ["imagenette2-160"]


@pytest.mark.parametrize("kind", ["truncated", "outside", "no archive"])
def test_a_download_that_is_broken_or_hostile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../evil.txt" if kind == "outside" else "imagenette2-160/train/x")
        member.size = 10_000
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(10_000)))
    content = {"truncated": packed.getvalue()[:-5000], "outside": packed.getvalue(), "no archive": b"<html>"}[kind]
    served(monkeypatch, content)
    with pytest.raises(DataError, match="the download failed"):
        imagenette_module.fetch("https://example.org/imagenette2-160.tgz", tmp_path / "data", "imagenette2-160")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_cifar100_is_read_in_colour_and_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()

    def write(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    pixels = np.random.default_rng(0).integers(0, 256, (200, 3072), dtype=np.uint8)
    labels = [index % 100 for index in range(200)]
    train, test = (write(name, {"data": pixels, "fine_labels": labels}) for name in ("train", "test"))
    meta = write("meta", {"fine_label_names": [f"kind {number}" for number in range(100)]})
    monkeypatch.setattr("torchvision.datasets.CIFAR100.train_list", [train])
    monkeypatch.setattr("torchvision.datasets.CIFAR100.test_list", [test])
    monkeypatch.setattr(
        "torchvision.datasets.CIFAR100.meta", {"filename": meta[0], "key": "fine_label_names", "md5": meta[1]}
    )
    source = cifar100(root=str(tmp_path), val="test")
    assert len(source.classes) == 100 and len(source.train) == len(source.val) == 200
    assert torch.equal(source.train.image(3), torch.from_numpy(pixels[3]).view(3, 32, 32))
    assert cifar100(root=str(tmp_path), grey=True, folds=2, fold=1).channels == 1
    with pytest.raises(DataError, match=r"cifar-100-python.*data\.download=true"):
        cifar100(root=str(tmp_path / "elsewhere"))


@pytest.mark.parametrize("name", SETS)
def test_every_set_of_torchvision_takes_the_arguments_of_its_parts(name: str) -> None:
    reader = getattr(torchvision.datasets, name)
    parameters = inspect.signature(reader).parameters
    assert "train" in SETS[name]
    for arguments in SETS[name].values():
        for argument in arguments:
            assert argument in parameters or (argument, name) == ("train", "EMNIST")
    text = inspect.getsource(importlib.import_module(reader.__module__))
    for arguments in SETS[name].values():
        for value in arguments.values():
            assert value in (True, False) or f'"{value}"' in text


def test_country211_has_three_parts_of_its_own(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("valid", 2), ("test", 3)):
        for number, name in enumerate(("AD", "AE")):
            for index in range(count):
                photo(tmp_path / "country211" / part / name / f"{index}.jpg", 50 * number, (30, 20 + number))
    source = torchvision_part(set="Country211", root=str(tmp_path), size=8, fit="pad")
    assert source.test is not None and source.classes == ("AD", "AE")
    assert [len(part) for part in (source.train, source.val, source.test)] == [12, 4, 6]
    assert source.train.shape == (3, 8, 8) and source.size == (8, 8)
    images = next(open_store(source.train, cache="none", workers=0).gather([torch.arange(12)]))
    assert (images[source.train.labels == 1][:, 0, 5, 5] > 40).all()
    assert (images[source.train.labels == 0] == 0).all()
    assert fingerprint(source) == fingerprint(torchvision_part(set="Country211", root=str(tmp_path), size=8, fit="pad"))


def test_a_set_without_parts_holds_out_a_share(tmp_path: Path) -> None:
    for number, name in enumerate(("Forest", "River", "Sea")):
        for index in range(10):
            photo(tmp_path / "eurosat" / "2750" / name / f"{index}.jpg", 20 * number, (64, 64))
    source = torchvision_part(set="EuroSAT", root=str(tmp_path), grey=True)
    assert source.classes == ("Forest", "River", "Sea") and source.test is None
    assert (len(source.train), len(source.val), source.train.shape) == (27, 3, (1, 64, 64))


def test_emnist_needs_its_split_and_takes_it_as_an_argument(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"EMNIST: it needs 'split'. Say data\.arguments=\{split: …\}"):
        torchvision_part(set="EMNIST", root=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.arguments: EMNIST: Unknown value 'leters'.*letters"):
        torchvision_part(set="EMNIST", root=str(tmp_path), arguments={"split": "leters"})


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"set": "Flowers10"}, ConfigError, r"torchvision has no 'Flowers10'. Did you mean 'Flowers102'\?"),
        ({"set": "VOCDetection"}, ConfigError, "torchvision has no 'VOCDetection'"),
        ({"set": "DTD"}, DataError, r"DTD: Dataset not found.*or add data\.download=true"),
        (
            {"set": "DTD", "arguments": {"partitoin": 2}},
            ConfigError,
            "no argument 'partitoin'.*Did you mean 'partition'",
        ),
        (
            {"set": "FGVCAircraft", "arguments": {"annotation_level": "x"}},
            ConfigError,
            "data.arguments: FGVCAircraft: .*x",
        ),
        ({"set": "DTD", "arguments": {"split": "test"}}, ConfigError, "no argument 'split' that can be set"),
        ({"set": "FER2013", "download": True}, ConfigError, "torchvision cannot download FER2013. Put its files into"),
        ({"set": "SVHN"}, (ConfigError, DataError), "SVHN"),
    ],
)
def test_what_torchvision_cannot_read_is_said_in_one_line(
    tmp_path: Path, words: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match) as caught:
        torchvision_part(root=str(tmp_path), **words)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_file_that_changed_behind_torchvision_makes_its_decoded_images_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        for number, name in enumerate(("Forest", "River")):
            for index in range(10):
                photo(tmp_path / place / "data" / "eurosat" / "2750" / name / f"{index}.png", 20 * number, (9, 9))

    def version(place: str) -> bytes:
        monkeypatch.chdir(tmp_path / place)
        return torchvision_part(set="EuroSAT").train.version()

    before = version("here")
    assert version("here") == before != version("there")
    photo(tmp_path / "here" / "data" / "eurosat" / "2750" / "River" / "7.png", 99, (9, 9))
    assert version("here") != before
    (tmp_path / "here" / "data" / "loop").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "data" / "nowhere").symlink_to(tmp_path / "gone")
    version("here")
