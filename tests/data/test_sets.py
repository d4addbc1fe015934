"""The named sets: IDX files in every layout, CIFAR-10's batches, and the drawn characters."""

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared import idx_bytes, write_idx

from trainer.data.cifar10 import cifar10
from trainer.data.fashion_mnist import fashion_mnist
from trainer.data.fingerprint import fingerprint
from trainer.data.glyphs import CHARACTERS, glyphs
from trainer.data.idx import read_idx
from trainer.data.mnist import mnist
from trainer.errors import DataError
from trainer.registry import entries
from trainer.schema import conform
from trainer.size import square


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_idx_files_are_found_raw_or_zipped_in_both_layouts(tmp_path: Path, zipped: bool, below: str) -> None:
    arrays = write_idx(tmp_path / below, zipped=zipped)
    source = fashion_mnist(root=str(tmp_path), val="test")
    images = torch.stack([source.train.image(index) for index in range(40)])
    assert torch.equal(images[:, 0], torch.from_numpy(arrays["train-images-idx3-ubyte"]))
    assert source.val.labels.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert source.classes[9] == "Ankle boot" and source.size == square(28) and source.channels == 1


def test_mnist_holds_out_a_share_and_keeps_the_test_part(tmp_path: Path) -> None:
    write_idx(tmp_path)
    source = mnist(root=str(tmp_path), val=0.25)
    assert source.test is not None and (len(source.train), len(source.val), len(source.test)) == (30, 10, 20)


def test_missing_set_says_where_it_looked_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"FashionMNIST/raw.*data\.download=true.*dataset-fashion-mnist") as caught:
        fashion_mnist(root=str(tmp_path))
    assert str(tmp_path) in str(caught.value) and list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match=r"data\.download=true"):
        mnist(root=str(tmp_path))
    with pytest.raises(DataError, match=r"cifar-10-batches-py.*data\.download=true"):
        cifar10(root=str(tmp_path))


def test_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading:\nTried mirror")

    monkeypatch.setattr("torchvision.datasets.MNIST.download", fail)
    with pytest.raises(DataError, match="the download failed: Error downloading: Tried mirror"):
        mnist(root=str(tmp_path), download=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"<html>404</html>", "not an IDX file"),
        (struct.pack(">BBBBI", 0, 0, 13, 1, 2) + b"12345678", "not an IDX file of unsigned bytes"),
        (idx_bytes(np.zeros(9, dtype=np.uint8))[:-1], "8 bytes of data where its header says 9"),
        (idx_bytes(np.zeros(9, dtype=np.uint8)) + b"x", "10 bytes of data"),
    ],
)
def test_corrupt_idx_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "some-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_idx(path)


def test_truncated_gzip_and_missing_part_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        mnist(root=str(tmp_path))
    path.write_bytes(whole)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.*cannot be read"):
        mnist(root=str(tmp_path))


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.full(40, 10, dtype=np.uint8)))
    with pytest.raises(DataError, match="image 0 has the label 10, but with 10 classes"):
        mnist(root=str(tmp_path))
    labels.write_bytes(idx_bytes(np.zeros(39, dtype=np.uint8)))
    with pytest.raises(DataError, match="does not fit"):
        mnist(root=str(tmp_path))


@pytest.fixture
def cifar_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files with 10 images each instead of 10,000."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    rng = np.random.default_rng(0)
    names = [*[f"data_batch_{number}" for number in range(1, 6)], "test_batch"]
    listed = [
        write(name, {"data": rng.integers(0, 256, (10, 3072), dtype=np.uint8), "labels": list(range(10))})
        for name in names
    ]
    meta = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr("torchvision.datasets.CIFAR10.train_list", listed[:5])
    monkeypatch.setattr("torchvision.datasets.CIFAR10.test_list", listed[5:])
    monkeypatch.setattr(
        "torchvision.datasets.CIFAR10.meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]}
    )
    return tmp_path


def test_cifar10_is_read_in_colour_and_grey(cifar_root: Path) -> None:
    source = cifar10(root=str(cifar_root), val="test")
    raw = pickle.loads((cifar_root / "cifar-10-batches-py/data_batch_1").read_bytes())["data"]
    assert torch.equal(source.train.image(3), torch.from_numpy(raw[3]).view(3, 32, 32))
    assert source.classes == tuple("abcdefghij") and len(source.train) == 50 and len(source.val) == 10
    grey = cifar10(root=str(cifar_root), grey=True, val="test").train.image(3)
    expected = np.array(Image.fromarray(raw[3].reshape(3, 32, 32).transpose(1, 2, 0)).convert("L"))
    assert torch.equal(grey[0], torch.from_numpy(expected))


def test_corrupt_cifar10_is_refused(cifar_root: Path) -> None:
    (cifar_root / "cifar-10-batches-py/data_batch_2").write_bytes(b"x")
    with pytest.raises(DataError, match="missing or corrupt"):
        cifar10(root=str(cifar_root))


def test_glyph_is_a_function_of_seed_part_and_index() -> None:
    source, again, other = glyphs(images=40), glyphs(images=40), glyphs(images=40, seed=1)
    assert source.test is not None and len(source.test) == 8
    assert torch.equal(source.train.image(5), again.train.image(5))
    assert not torch.equal(source.train.image(5), other.train.image(5))
    assert not torch.equal(source.train.image(0), source.test.image(0))
    assert fingerprint(source) == fingerprint(again) != fingerprint(other)


def test_more_glyphs_do_not_change_the_first_ones() -> None:
    few, many = glyphs(images=20, val="test").train, glyphs(images=50, val="test").train
    assert all(torch.equal(few.image(index), many.image(index)) for index in range(20))


def test_glyphs_come_in_any_size_channels_and_all_classes() -> None:
    source = glyphs(classes=36, images=72, size=48, grey=True)
    assert source.classes == tuple(CHARACTERS) and source.train.image(0).shape == (1, 48, 48)
    assert set(source.train.labels.tolist()) == set(range(36))
    assert glyphs(images=20, size=12).train.image(0).shape == (3, 12, 12)


def test_glyphs_of_a_class_are_more_alike_than_glyphs_of_two() -> None:
    part = glyphs(classes=2, images=600, grey=True, val="test").train
    images = torch.stack([part.image(index) for index in range(600)]).flatten(1).float()
    features = (images - images.median(1, keepdim=True).values).abs()
    features /= features.norm(dim=1, keepdim=True)
    centres = torch.stack([features[:400][part.labels[:400] == label].mean(0) for label in (0, 1)])
    right = (torch.cdist(features[400:], centres).argmin(1) == part.labels[400:]).float().mean()
    assert right > 0.7


def test_too_few_glyphs_are_refused() -> None:
    with pytest.raises(DataError, match="10 classes need at least 20 images"):
        glyphs(images=19)


@pytest.mark.parametrize("classes", [1, 37])
def test_number_of_glyph_classes_is_bounded_by_the_schema(classes: int) -> None:
    option = entries("data")["glyphs"].options["classes"]
    assert conform(36, option.annotation) == 36
    with pytest.raises(ValueError, match="2 to 36"):
        conform(classes, option.annotation)


def test_shared_options_have_one_type_and_default() -> None:
    everywhere = ("val", "folds", "fold", "normalise", "mean", "std", "denoise")
    shared = (*everywhere, "wrong_labels", "cache", "grey", "download", "size", "resize", "fit", "crop_share")
    found: dict[str, set[str]] = {}
    for part in entries("data").values():
        for name in shared:
            if name in part.options and (part.name, name) != ("glyphs", "size"):
                found.setdefault(name, set()).add(repr(part.options[name]))
    assert all(len(options) == 1 for options in found.values()) and len(found) == len(shared)
    for name in everywhere:
        assert all(name in part.options for part in entries("data").values())
    assert all(("fit" in part.options) == ("crop_share" in part.options) for part in entries("data").values())


def test_drawn_characters_lie_all_over_a_rectangle() -> None:
    source = glyphs(images=40, size=[24, 40])
    assert (source.size, source.train.shape) == ((24, 40), (3, 24, 40))
    images = torch.stack([source.train.image(index) for index in range(30)]).float()
    assert images.shape == (30, 3, 24, 40)
    varied = images.std(dim=0).mean(dim=0)
    assert varied.min() > 20  # no part of it is always the same
