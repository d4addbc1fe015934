"""What was decoded or unpacked is never taken for a file that came in another one's place."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import Ended

from trainer.data import marks as marks_module
from trainer.data.archive import unpacked
from trainer.data.folder import folder
from trainer.data.marks import marks, sample
from trainer.data.source import Samples
from trainer.data.table import table
from trainer.data.torchvision import torchvision

WHEN = 1_700_000_000 * 10**9


def settled(path: Path) -> Path:
    """With a fixed time, as unpacking gives it."""
    os.utime(path, ns=(WHEN, WHEN))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of uncompressed pictures: one length, one time."""
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            noise = np.random.default_rng(9 * number + index).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            path = tmp_path / "photos" / name / f"{index}.bmp"
            Image.fromarray(noise).save(path)
            settled(path)
    return tmp_path / "photos"


def swapped(one: Path, other: Path) -> None:
    """By their names alone: content, length and time of each stay what they are."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def rewritten(one: Path, other: Path) -> None:
    """By their content: inodes stay, lengths and times are the same again."""
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    settled(one), settled(other)


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [swapped, rewritten])
def test_a_run_does_not_believe_a_store_after_two_files_were_exchanged(
    train: Callable[..., Ended], photos: Path, tmp_path: Path, exchange: Callable[[Path, Path], None]
) -> None:
    def weights(name: str, cache: str) -> object:
        words = ("data=folder", "model.widths=[2]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32")
        keep = (f"data.cache={cache}", f"data.cache_dir={tmp_path / 'cache'}", f"data.root={photos}", f"name={name}")
        ended = train(*words, *keep, "workers=0", tiny=False)
        assert ended.code == 0, ended.err
        saved = torch.load(tmp_path / "outputs" / name / "checkpoints" / "last.pt", weights_only=True)
        return {key: value.tolist() for key, value in saved["model"].items()}

    before = weights("before", "disk")
    exchange(photos / "cat" / "0.bmp", photos / "dog" / "0.bmp")
    assert weights("after", "disk") == weights("anew", "none") != before


def versions(photos: Path) -> list[bytes]:
    """Of the same pictures as class folders and as a table."""
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.bmp"))]
    listed = photos.with_name("labels.csv")
    listed.write_text("\n".join(["path,label", *rows]))
    sources = folder(root=str(photos)), table(file=str(listed), root=str(photos))
    return [source.train.version() for source in sources]


@pytest.mark.parametrize("exchange", [swapped, rewritten])
@pytest.mark.parametrize("blind", ["nothing", "ctime and inode", "content"])
def test_either_the_marks_or_the_sample_alone_would_tell(
    photos: Path, monkeypatch: pytest.MonkeyPatch, exchange: Callable[[Path, Path], None], blind: str
) -> None:
    if blind == "content":
        monkeypatch.setattr(marks_module, "_pieces", lambda path: b"")
    if blind == "ctime and inode":  # as on a system that has them not
        for room in ("folder", "table"):
            monkeypatch.setattr(f"trainer.data.{room}.marks", lambda about: (about.st_mtime_ns, 0, 0))
    before = versions(photos)
    assert versions(photos) == before
    exchange(photos / "cat" / "0.bmp", photos / "dog" / "0.bmp")
    assert all(now != then for now, then in zip(versions(photos), before, strict=True))


def test_by_length_and_time_alone_nobody_could_tell(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(marks_module, "_pieces", lambda path: b"")
    for room in ("folder", "table"):
        monkeypatch.setattr(f"trainer.data.{room}.marks", lambda about: (about.st_mtime_ns, 0, 0))
    before = versions(photos)
    swapped(photos / "cat" / "0.bmp", photos / "dog" / "0.bmp")
    assert versions(photos) == before


def tar_of(path: Path, colour: int) -> Path:
    """An uncompressed archive: of one length and time whatever the colour."""
    with tarfile.open(path, "w") as archive:
        for name in ("a/0.bmp", "b/0.bmp"):
            picture = io.BytesIO()
            Image.new("RGB", (40, 40), (colour, 0, 0)).save(picture, format="BMP")
            entry = tarfile.TarInfo(name)
            entry.size = len(picture.getvalue())
            archive.addfile(entry, io.BytesIO(picture.getvalue()))
    return settled(path)


def test_an_archive_of_the_same_length_and_time_is_unpacked_anew(tmp_path: Path) -> None:
    first = unpacked(tar_of(tmp_path / "a.tar", 10), tmp_path / "cache")
    assert unpacked(tmp_path / "a.tar", tmp_path / "cache") == first
    second = unpacked(tar_of(tmp_path / "a.tar", 200), tmp_path / "cache")
    with Image.open(second / "a" / "0.bmp") as picture:
        assert second != first and picture.getpixel((0, 0)) == (200, 0, 0)


def test_files_exchanged_behind_torchvision_make_its_decoded_images_stale(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "data" / "eurosat" / "2750"
    place.parent.mkdir(parents=True)
    photos.rename(place)
    for path in place.rglob("*.bmp"):
        path.rename(path.with_suffix(".png"))  # torchvision goes by the ending, and Pillow by the content
    monkeypatch.chdir(tmp_path)
    part: Samples = torchvision(set="EuroSAT").train
    before = part.version()
    swapped(place / "cat" / "3.png", place / "dog" / "3.png")
    assert torchvision(set="EuroSAT").train.version() != before


@given(size=st.integers(0, 5000), data=st.data())
def test_a_byte_within_a_kib_of_start_middle_or_end_changes_the_sample(size: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a"
        content = bytearray(size)
        path.write_bytes(content)
        before = sample([path])
        assert sample([path]) == before
        starts = [0, size // 2, max(0, size - 1024)]
        seen = sorted({place for start in starts for place in range(start, min(start + 1024, size))})
        if seen:
            content[data.draw(st.sampled_from(seen))] ^= 1
            path.write_bytes(content)
            assert sample([path]) != before


def test_the_sample_is_of_ten_thousand_files_at_most_and_none_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    pieces = marks_module._pieces
    monkeypatch.setattr(marks_module, "_pieces", lambda path: (opened.append(path), pieces(path))[1])
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / "pipe", tmp_path, *(tmp_path / str(index) for index in range(25_000))]
    assert sample(paths) == sample(paths)
    assert 5_000 < len(opened) / 2 <= 10_000
    assert sample([]) == sample([tmp_path / "gone"])


def test_marks_are_times_and_inode(tmp_path: Path) -> None:
    about = tmp_path.stat()
    assert marks(about) == (about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
