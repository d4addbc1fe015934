"""Packed copies: decoded once, mapped afterwards, never stale, never half-written."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from trainer.data import store as store_module
from trainer.data.folder import folder
from trainer.data.source import Samples
from trainer.data.store import open_store
from trainer.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trainer"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each time that all images were decoded: their number."""
    calls: list[int] = []
    decode_all = store_module._decode_all

    def counted(samples: Samples, *rest: object) -> None:
        calls.append(len(samples))
        decode_all(samples, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "_decode_all", counted)
    yield calls


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (9, 9), (10 * index, 0, 0)).save(tmp_path / "photos" / name / f"{index}.bmp")
    return tmp_path / "photos"


def pixels(samples: Samples, cache: str = "packed") -> torch.Tensor:
    return next(open_store(samples, cache=cache, workers=0).gather([torch.arange(len(samples))]))


def test_images_are_decoded_once_for_all_parts_and_later_runs(photos: Path, cache: Path, decodings: list[int]) -> None:
    source = folder(root=str(photos), cache="packed", val=0.25)
    assert any(str(cache) in note for note in source.notes)
    for part in (source.train, source.val, folder(root=str(photos), val=0.5).train):
        assert torch.equal(pixels(part), pixels(part, "ram"))
    assert decodings == [8, len(source.train), len(source.val), 4]  # the first is packed, the others are the control
    assert [path.stat().st_size for path in cache.iterdir()] == [8 * 3 * 9 * 9]


def test_a_changed_file_is_decoded_anew_even_if_its_size_stays(photos: Path, cache: Path) -> None:
    before = pixels(folder(root=str(photos)).train)
    path = photos / "cat" / "1.bmp"
    size = path.stat().st_size
    Image.new("RGB", (9, 9), (0, 250, 0)).save(path)
    os.utime(path, ns=(0, 12345))
    assert path.stat().st_size == size
    after = pixels(folder(root=str(photos)).train)
    assert not torch.equal(before, after) and torch.equal(after, pixels(folder(root=str(photos)).train, "ram"))


@pytest.mark.parametrize(
    "other", [{"grey": True}, {"size": 5}, {"fit": "pad"}, {"resize": "nearest"}, {"denoise": "median"}]
)
def test_other_pixels_have_a_copy_of_their_own(photos: Path, cache: Path, other: dict[str, object]) -> None:
    pixels(folder(root=str(photos)).train)
    source = folder(root=str(photos), **other)  # type: ignore[arg-type]
    assert torch.equal(pixels(source.train), pixels(source.train, "ram"))
    assert len(list(cache.iterdir())) == 2


def test_a_file_that_cannot_be_read_leaves_no_copy(photos: Path, cache: Path) -> None:
    (photos / "dog" / "2.bmp").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 8 images cannot be read"):
        pixels(folder(root=str(photos)).train)
    assert list(cache.iterdir()) == []


def test_a_copy_that_cannot_be_written_says_what_to_do(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*XDG_CACHE_HOME, or use data\.cache=none"):
        pixels(folder(root=str(photos)).train)
