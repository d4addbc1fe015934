"""What is fuzzed: for each reader good files, made here, and the call that reads one."""

import gzip
import hashlib
import io
import json
import pickle
import re
import shutil
import tarfile
import tempfile
import zipfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainer.data.archive import unpacked
from trainer.data.assemble import Wishes
from trainer.data.cifar import cifar_source
from trainer.data.decode import Frame, decode, short_side
from trainer.data.folder import scan
from trainer.data.idx import read_idx
from trainer.data.keep import Keep
from trainer.data.source import ArraySamples, Samples
from trainer.data.table import table
from trainer.engine.checkpoint import Checkpoints, load
from trainer.errors import TrainerError
from trainer.feed.pack import header_of, path_of
from trainer.feed.store import open_stores
from trainer.model import weights
from trainer.records.files import read_files
from trainer.records.folder import RunFolder, read_json
from trainer.records.lines import read_metrics
from trainer.size import square


@dataclass(frozen=True)
class Target:
    """seeds: good files. attempt: reads one that was written into the folder; it may leave files in there only."""

    seeds: Callable[[], list[bytes]]
    attempt: Callable[[bytes, Path], object]


def _picture(seed: int = 0, size: tuple[int, int] = (24, 17)) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _pictures() -> list[bytes]:
    colour = _picture()
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.arange(24 * 17, dtype=np.uint16).reshape(17, 24) * 100)
    several = {"save_all": True, "append_images": [_picture(1)]}
    return [
        _saved(colour, format="JPEG", exif=turned),
        _saved(colour, format="JPEG", progressive=True),
        _saved(colour.convert("CMYK"), format="JPEG"),
        _saved(colour, format="PNG", exif=turned),
        _saved(colour.convert("RGBA"), format="PNG"),
        _saved(colour.quantize(16), format="PNG", transparency=0),
        _saved(deep, format="PNG"),
        _saved(colour, format="GIF", **several),
        _saved(colour, format="WEBP"),
        _saved(colour, format="WEBP", lossless=True, **several),
        _saved(colour, format="TIFF"),
        _saved(colour, format="TIFF", compression="tiff_lzw"),
        _saved(colour, format="TIFF", compression="tiff_deflate"),
        _saved(colour, format="TIFF", compression="jpeg"),
        _saved(deep, format="TIFF"),
        _saved(colour.convert("1"), format="TIFF", compression="group4"),
        _saved(Image.fromarray(np.ones((9, 9), np.float32)), format="TIFF"),
        _saved(colour, format="BMP"),
        _saved(colour, format="PPM"),
        _saved(colour.convert("RGBA"), format="AVIF"),
        _saved(colour, format="JPEG2000"),
        _saved(colour, format="MPO", **several),
        *(_saved(colour, format=name) for name in ("DDS", "ICNS", "ICO", "QOI")),
        _saved(colour.quantize(16), format="BLP"),
        _saved(colour.convert("1"), format="XBM"),
    ]


def _plain_pictures() -> list[bytes]:
    """Of a format without a signature, which is tried where the name says so."""
    colour = _picture()
    return [
        _saved(colour, format="TGA"),
        _saved(colour.convert("RGBA"), format="TGA", compression="tga_rle"),
        _saved(colour.quantize(16), format="TGA"),
    ]


def _image(data: bytes, folder: Path, name: str = "a.png") -> None:
    path = folder / name
    path.write_bytes(data)
    short_side(path)
    decode(path, Frame(square(16)))
    decode(path, Frame(grey=True))


def _tables() -> list[bytes]:
    rows = [f"{index}.png,{'cat' if index % 2 else 'dog'}" for index in range(6)]
    parts = [f"{row},{part}" for row, part in zip(rows, ("train",) * 4 + ("val", "test"), strict=True)]
    plain = "\n".join(["path,label", *rows])
    quoted = "\r\n".join(['"path","label"', *(f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in rows)])
    hot = "\n".join(["id,cat,dog", *(f"{index},{index % 2},{1 - index % 2}" for index in range(6))])
    kinds = (plain, plain.replace(",", "\t"), "\n".join(["path,label,split", *parts]), quoted, "\n".join(rows))
    return [*(each.encode() for each in (*kinds, hot, hot.replace(",", " "))), plain.replace(",", ";").encode("utf-16")]


def _table(data: bytes, folder: Path) -> None:
    for index in range(6):
        if not (folder / f"{index}.png").exists():
            _picture(index).save(folder / f"{index}.png")
    (folder / "a.csv").write_bytes(data)
    table(file=str(folder / "a.csv"))


def _state() -> dict[str, object]:
    return {
        "format": 1,
        "step": 3,
        "model": {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(3)},
        "best": 0.5,
        "classes": ["cat", "dog"],
        "nested": [{"a": None, "b": (1, True)}],
    }


def _torch_saved(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _checkpoint(data: bytes, folder: Path) -> None:
    (folder / "a.pt").write_bytes(data)
    load(folder / "a.pt")


def _manifest_seeds() -> list[bytes]:
    data = _torch_saved(_state())
    entry = {"file": "last.pt", "step": 3, "config_sha256": "0" * 64}
    manifest = {"format": 1, "classes": ["cat"], "sha256": {hashlib.sha256(data).hexdigest(): entry}}
    return [json.dumps(manifest).encode(), json.dumps(manifest, indent=1).encode()]


def _manifest(data: bytes, folder: Path) -> None:
    (folder / "last.pt").write_bytes(_torch_saved(_state()))
    (folder / "manifest.json").write_bytes(data)
    checkpoints = Checkpoints(folder)
    checkpoints.damaged()
    checkpoints.load_last()


def _records_seeds() -> list[bytes]:
    line = {"kind": "epoch", "step": 3, "epoch": 1, "val_accuracy": 0.5}
    return [
        json.dumps({"fingerprint": "0" * 64, "versions": {"torch": "2"}, "threads": 2}).encode(),
        b"".join(json.dumps({**line, "step": step}).encode() + b"\n" for step in range(4)),
        gzip.compress(json.dumps({"cat/1.png": "cat, 12 bytes"}).encode(), mtime=0),
        b"epochs: 5\nname: x\noptim:\n  name: adamw\n  lr: 0.1\n",
    ]


def _records(data: bytes, folder: Path) -> None:
    """A run folder from a stranger."""
    run = RunFolder(folder)
    for path in (run.about, run.metrics, run.files, run.config):
        path.write_bytes(data)
    read_files(run.files)
    for read in (lambda: read_json(run.about), lambda: list(read_metrics(run.metrics)), run.read_config):
        _refused_or_read(read)


def _refused_or_read(read: Callable[[], object]) -> None:
    try:
        read()
    except TrainerError:
        return


def _safetensors() -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "bias": {"dtype": "BF16", "shape": [2], "data_offsets": [24, 28]},
        }
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(28)


def _weights(data: bytes, folder: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        (folder / name).write_bytes(data)
        _refused_or_read(lambda name=name: weights.load_file(torch.nn.Linear(3, 2), str(folder / name)))


def _weights_seeds() -> list[bytes]:
    state = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    older = _torch_saved(state, _use_new_zipfile_serialization=False)
    trained = {"model": state, "model_ema": {f"module.{name}": value for name, value in state.items()}}
    return [_safetensors(), _torch_saved(state), _torch_saved({**trained, "args": Namespace(lr=0.1)}), older]


@dataclass(frozen=True)
class _Decoded:
    """Forty small images that have to be decoded."""

    whole: Samples
    groups = None

    @property
    def labels(self) -> torch.Tensor:
        return self.whole.labels

    @property
    def keys(self) -> list[str]:
        return list(self.whole.keys)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.whole.shape

    def image(self, index: int) -> torch.Tensor:
        return self.whole.image(index)

    def digest(self) -> bytes:
        return b"digest"

    def version(self) -> bytes:
        return b"version"

    def __len__(self) -> int:
        return len(self.whole)


def _decoded() -> _Decoded:
    pixels = torch.arange(40 * 12).remainder(256).to(torch.uint8).view(40, 3, 2, 2)
    return _Decoded(ArraySamples(pixels, torch.zeros(40, dtype=torch.int64), [str(index) for index in range(40)]))


def _stores() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        samples = _decoded()
        open_stores([samples], Keep("disk", name), workers=0)
        return [path_of(header_of(samples), Path(name)).read_bytes()]


def _store(data: bytes, folder: Path) -> None:
    """A store that is not what it should be is built anew: what is read from it is right in any case."""
    samples, cache = _decoded(), folder / "cache"
    cache.mkdir(exist_ok=True)
    path_of(header_of(samples), cache).write_bytes(data)
    (store,), _ = open_stores([samples], Keep("disk", str(cache)), workers=0)
    (images,) = store.gather([torch.arange(40)])
    assert torch.equal(images, torch.stack([samples.image(index) for index in range(40)]))


def _zips() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as opened:
            for name in ("cat", "dog"):
                opened.writestr(f"{name}/1.png", _saved(_picture(), format="PNG")[:200])
        found.append(buffer.getvalue())
    return found


def _tars() -> list[bytes]:
    found = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as opened:
            for name in ("cat", "dög" * 30):
                entry = tarfile.TarInfo(f"{name}/1.png")
                entry.size = 200
                opened.addfile(entry, io.BytesIO(_saved(_picture(), format="PNG")[:200]))
            link = tarfile.TarInfo("cat/2.png")
            link.type, link.linkname = tarfile.SYMTYPE, "1.png"
            opened.addfile(link)
        found.append(buffer.getvalue())
    return found


_UNPACKED = re.compile(r"cache(/unpacking\.lock|/a-[0-9a-f]{16}(\.whole|(/.*)?))?", re.DOTALL)
"""What may lie in the box beside the archive, once it was tried."""


def _archive(suffix: str) -> Callable[[bytes, Path], None]:
    def attempt(data: bytes, folder: Path) -> None:
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        before = _names(folder)
        try:
            scan(unpacked(path, folder / "cache"))
        finally:
            beside = [name for name in _names(folder) - before if not _UNPACKED.fullmatch(name)]
            changed = path.read_bytes() != data
            shutil.rmtree(folder / "cache", ignore_errors=True)
            assert not beside and not changed, f"files outside its folder: {beside or [path.name]}"

    return attempt


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _idx_files() -> list[bytes]:
    images = bytes([0, 0, 8, 3]) + b"".join(side.to_bytes(4, "big") for side in (5, 4, 4)) + bytes(80)
    labels = bytes([0, 0, 8, 1]) + (5).to_bytes(4, "big") + bytes(range(5))
    return [images, labels, gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)]


def _idx(data: bytes, folder: Path) -> None:
    for name in ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"):
        (folder / name).write_bytes(data)
        _refused_or_read(lambda name=name: read_idx(folder / name))


def _cifar_files() -> list[bytes]:
    import_module("torchvision.datasets")  # which takes seconds, before an input is timed
    return [pickle.dumps({"data": np.zeros((5, 3072), np.uint8), "labels": [0, 0, 1, 1, 1]})]


def _cifar(data: bytes, folder: Path) -> None:
    """A batch file; the others are good."""
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]

    base, good = folder / "batches", _cifar_files()[0]
    base.mkdir(exist_ok=True)
    names = pickle.dumps({"label_names": list("abcdefghij")})

    class Small(CIFAR10):  # type: ignore[misc]
        base_folder = "batches"
        train_list = (("data_batch_1", hashlib.md5(good).hexdigest()),)
        test_list = (("test_batch", hashlib.md5(good).hexdigest()),)
        meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(names).hexdigest()}  # noqa: RUF012

    (base / "batches.meta").write_bytes(names)
    (base / "test_batch").write_bytes(good)
    (base / "data_batch_1").write_bytes(data)
    cifar_source(Small, str(folder), Wishes(val=0.2), download=False, grey=False)


TARGETS = {
    "image": Target(_pictures, _image),
    "tga": Target(_plain_pictures, partial(_image, name="a.tga")),
    "table": Target(_tables, _table),
    "checkpoint": Target(lambda: [_torch_saved(_state())], _checkpoint),
    "manifest": Target(_manifest_seeds, _manifest),
    "records": Target(_records_seeds, _records),
    "weights": Target(_weights_seeds, _weights),
    "store": Target(_stores, _store),
    "zip": Target(_zips, _archive(".zip")),
    "tar": Target(_tars, _archive(".tar")),
    "tar.gz": Target(lambda: [gzip.compress(each, mtime=0) for each in _tars()], _archive(".tar.gz")),
    "idx": Target(_idx_files, _idx),
    "cifar": Target(_cifar_files, _cifar),
}
