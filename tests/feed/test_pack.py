"""Stores on disk: decoded once for all runs, never stale, never half-written, never more than they may be."""

import fcntl
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shared import Ended, fingerprint

from trainer.build.training import build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main
from trainer.config import conf_folder
from trainer.data.folder import folder
from trainer.data.glyphs import glyphs
from trainer.data.keep import Keep
from trainer.data.source import ArraySamples, Samples, Source
from trainer.errors import DataError
from trainer.feed import cache, keeping
from trainer.feed import store as store_module
from trainer.feed.cache import Header, read_header
from trainer.feed.keeping import choose
from trainer.feed.pack import Packed
from trainer.feed.store import ResidentStore, StreamedStore, open_stores
from trainer.system.cache_folder import default_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of stores of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trainer"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each time that all images of a whole were decoded: their number."""
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


def parts_of(source: Source) -> list[Samples]:
    return [source.train, source.val]


def pixels(parts: Sequence[Samples], keep: Keep = Keep("disk")) -> torch.Tensor:  # noqa: B008
    stores, _ = open_stores(parts, keep, workers=0)
    return torch.cat([next(store.gather([torch.arange(len(store))])) for store in stores])


def decoded(parts: Sequence[Samples]) -> torch.Tensor:
    return torch.stack([part.image(index) for part in parts for index in range(len(part))])


def only(place: Path) -> Path:
    (path,) = place.iterdir()
    return path


def test_images_are_decoded_once_for_all_parts_and_later_runs(photos: Path, place: Path, decodings: list[int]) -> None:
    for val in (0.25, 0.25, 0.5):
        parts = parts_of(folder(root=str(photos), val=val))
        stores, note = open_stores(parts, Keep("disk"), workers=2)
        assert all(isinstance(store, ResidentStore) and isinstance(store.pixels, Packed) for store in stores)
        assert str(place) in note and "python -m trainer cache" in note
        assert torch.equal(pixels(parts), decoded(parts))
    assert decodings == [8]
    pixels(parts, Keep("ram"))
    assert decodings == [8, 8]  # the control


def test_a_part_whose_pixels_are_at_hand_needs_no_store_beside_one_that_does(photos: Path, place: Path) -> None:
    arrays = ArraySamples(torch.arange(2 * 243).to(torch.uint8).view(2, 3, 9, 9), torch.tensor([0, 1]), ["a", "b"])
    parts = [arrays, folder(root=str(photos)).train]
    assert torch.equal(pixels(parts), decoded(parts))
    assert only(place)


def test_only_what_a_limited_run_needs_is_decoded(photos: Path, place: Path, decodings: list[int]) -> None:
    source = folder(root=str(photos), val=0.25)
    assert torch.equal(pixels([source.val]), decoded([source.val]))
    assert decodings == [2]


def test_every_order_of_rows_gives_those_images(photos: Path, place: Path) -> None:
    train = folder(root=str(photos), val=0.25).train
    (store,), _ = open_stores([train], Keep("disk"), workers=0)
    orders = [torch.tensor([5, 0, 0]), torch.tensor([3])]
    for order, images in zip(orders, store.gather(orders), strict=True):
        assert torch.equal(images, torch.stack([train.image(index) for index in order.tolist()]))
        images[0] = 0  # what is given belongs to whoever asked
    assert torch.equal(pixels([train]), decoded([train]))


def test_a_changed_file_is_decoded_anew_even_if_its_size_stays(photos: Path, place: Path) -> None:
    before = pixels(parts_of(folder(root=str(photos))))
    path = photos / "cat" / "1.bmp"
    size = path.stat().st_size
    Image.new("RGB", (9, 9), (0, 250, 0)).save(path)
    os.utime(path, ns=(0, 12345))
    assert path.stat().st_size == size
    parts = parts_of(folder(root=str(photos)))
    assert not torch.equal(before, pixels(parts)) and torch.equal(pixels(parts), decoded(parts))


@pytest.mark.parametrize(
    "other", [{"grey": True}, {"size": 5}, {"fit": "pad"}, {"resize": "nearest"}, {"denoise": "median"}, {"prepare": 7}]
)
def test_other_pixels_have_a_store_of_their_own(photos: Path, place: Path, other: dict[str, object]) -> None:
    pixels(parts_of(folder(root=str(photos), size=6)))
    parts = parts_of(folder(root=str(photos), **{"size": 6, **other}))  # type: ignore[arg-type]
    assert torch.equal(pixels(parts), decoded(parts))
    assert len(list(place.iterdir())) == 2


def test_another_release_of_the_decoder_builds_its_own(
    photos: Path, place: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels(parts_of(folder(root=str(photos))))
    monkeypatch.setattr("PIL.__version__", "99.0")
    pixels(parts_of(folder(root=str(photos))))
    assert decodings == [8, 8]


def test_a_user_without_a_home_has_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_folder() == Path("~/.cache/trainer").expanduser()
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user whom the system does not know
    assert default_folder() == Path(tempfile.gettempdir()) / "trainer"


def test_a_file_that_cannot_be_read_leaves_nothing(photos: Path, place: Path) -> None:
    (photos / "dog" / "2.bmp").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 8 images cannot be read"):
        pixels(parts_of(folder(root=str(photos))))
    assert list(place.iterdir()) == []


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def other_version(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:12] = struct.pack("<I", 99)
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "of another version": other_version,
    "no store": lambda path: path.write_bytes(b"once upon a time" * 2000),
    "header flipped": lambda path: flip(path, 30),
    "index flipped": lambda path: flip(path, 270),
    "first pixel flipped": lambda path: flip(path, 4096),
    "last pixel flipped": lambda path: flip(path, -1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_built_anew(photos: Path, place: Path, decodings: list[int], damage: str) -> None:
    parts = parts_of(folder(root=str(photos)))
    pixels(parts)
    whole = only(place).read_bytes()
    DAMAGES[damage](only(place))
    assert torch.equal(pixels(parts), decoded(parts))
    assert decodings == [8, 8] and only(place).read_bytes() == whole


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_make_a_header_but_its_own(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    header = Header(5, (3, 2, 2), bytes(32), "photos")
    good = header.packed([7]).ljust(header.start, b"\0") + bytes(60)
    path = tmp_path_factory.getbasetemp() / "fuzzed.pixels"
    for content in (noise, good[:at] + noise, good[:at] + noise + good[at + len(noise) :]):
        path.write_bytes(content)
        with path.open("rb") as file:
            read = read_header(file)
        assert read is None or content[:265] == good[:265]
    path.write_bytes(good)
    with path.open("rb") as file:
        assert read_header(file) == (header, [7])  # the control


def test_what_a_killed_process_left_is_removed_at_the_next_start(photos: Path, place: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
from trainer.feed.cache import writing
with writing(Path({str(place)!r}) / ("0" * 32 + ".tmp"), 9, print) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    assert [path.suffix for path in place.iterdir()] == [".tmp"]
    (place / "mine.tmp").write_text("a user's own file")
    pixels(parts_of(folder(root=str(photos))))
    assert sorted(path.suffix for path in place.iterdir()) == [".pixels", ".tmp"]


def _build(photos: str, begun: str, release: str) -> None:
    """In a process of its own: builds the store, but only ends when it may."""
    decode_all = store_module._decode_all

    def slow(*arguments: object) -> None:
        Path(begun).touch()
        while not Path(release).exists():
            time.sleep(0.01)
        decode_all(*arguments)  # type: ignore[arg-type]

    store_module._decode_all = slow  # type: ignore[assignment]
    open_stores(parts_of(folder(root=photos)), Keep("disk"), workers=0)


def test_a_second_run_waits_for_the_store_that_another_is_building(
    photos: Path, place: Path, tmp_path: Path, decodings: list[int]
) -> None:
    begun, release = tmp_path / "begun", tmp_path / "release"
    other = multiprocessing.get_context("fork").Process(target=_build, args=(str(photos), str(begun), str(release)))
    other.start()
    while not begun.exists():
        time.sleep(0.01)
    said = []

    def progress(what: str, done: int, total: int) -> None:
        said.append((what, total))
        release.touch()

    parts = parts_of(folder(root=str(photos)))
    stores, _ = open_stores(parts, Keep("disk"), workers=0, progress=progress)
    other.join()
    assert other.exitcode == 0 and said[0] == ("Another run is reading these images", 8)
    assert decodings == [] and torch.equal(pixels(parts), decoded(parts)) and len(stores) == 2


def sized(keep_limit: float, root: Path) -> Keep:
    return Keep("disk", str(root), keep_limit / 2**30)


def store_bytes(images: int) -> int:
    return Header(images, (3, 12, 12), bytes(32)).num_bytes


def test_the_longest_unused_store_makes_room_and_one_in_use_stays(tmp_path: Path) -> None:
    keep = sized(2 * store_bytes(20) + 100, tmp_path / "kept")
    old, new, third = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2, 3))
    for age, samples in enumerate((old, new)):
        pixels([samples], keep)
        newest = max(keep.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    held, _ = open_stores([old], keep, workers=0)  # in use, and so the newest, too
    for path in keep.folder.iterdir():
        os.utime(path, (500, 500))
    pixels([third], keep)
    assert len(list(keep.folder.iterdir())) == 2
    assert torch.equal(next(held[0].gather([torch.arange(20)])), decoded([old]))
    titles = {store.path for store in cache.stores(keep.folder) if store.in_use}
    assert len(titles) == 1
    del held
    assert not any(store.in_use for store in cache.stores(keep.folder))


def test_a_set_beyond_the_limit_is_refused_with_sizes_and_choices(place: Path, golden: Callable[..., None]) -> None:
    samples = glyphs(images=20, size=12, val="test").train
    with pytest.raises(DataError) as caught:
        choose(Keep("disk"), [Header(1_000_000, (3, 160, 160), bytes(32))], samples, 0)
    golden("cache_limit", str(caught.value))
    keep = sized(store_bytes(20) - 1, place)
    with pytest.raises(DataError, match="allows less"):
        open_stores([samples], keep, workers=0)
    assert not place.exists()


def test_what_other_runs_are_using_counts_against_the_limit(tmp_path: Path) -> None:
    keep = sized(store_bytes(20) + store_bytes(20) // 2, tmp_path / "kept")
    one, two = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2))
    held = open_stores([one], keep, workers=0)
    with pytest.raises(DataError, match=r"other runs are using 0\.0 MiB of the .* GiB that data\.cache_limit allows"):
        open_stores([two], keep, workers=0)
    del held
    open_stores([two], keep, workers=0)


def test_what_a_run_has_on_disk_already_counts_with_what_it_adds(tmp_path: Path) -> None:
    keep = sized(1.5 * store_bytes(20), tmp_path / "kept")
    one, two = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2))
    pixels([one], keep)
    with pytest.raises(DataError, match="allows less"):
        pixels([one, two], keep)
    assert len(list(keep.folder.iterdir())) == 1


def test_what_another_run_is_writing_counts_in_full_and_nothing_is_deleted_in_vain(tmp_path: Path) -> None:
    keep, size = sized(1.5 * store_bytes(20), tmp_path / "kept"), store_bytes(20)
    one, two = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2))
    pixels([one], keep)
    with cache.writing(keep.folder / f"{0:032}.tmp", size, lambda _: None):
        with pytest.raises(DataError, match="other runs are using"):
            pixels([two], keep)
        began = cache.writing(keep.folder / f"{1:032}.tmp", size, lambda _: None)  # both have looked before
        with began, pytest.raises(DataError, match="other runs are using"):
            cache.make_room(keep.folder / f"{1:032}.pixels", size, keep.limit)
    assert only(keep.folder).suffix == ".pixels"
    pixels([two], keep)


def test_a_store_that_cannot_be_deleted_keeps_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = sized(1.5 * store_bytes(20), tmp_path / "kept")
    one, two = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2))
    pixels([one], keep)
    monkeypatch.setattr(cache, "delete", lambda _: False)  # in a folder of several users, whose files are their own
    with pytest.raises(DataError, match="cannot be deleted by this user"):
        pixels([two], keep)


def test_those_whom_the_umask_lets_may_read_a_store(photos: Path, place: Path) -> None:
    before = os.umask(0o027)
    try:
        pixels(parts_of(folder(root=str(photos))))
    finally:
        os.umask(before)
    assert only(place).stat().st_mode & 0o777 == 0o640


def test_a_store_that_this_user_may_not_read_is_done_without(
    photos: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(folder(root=str(photos)))
    pixels(parts)
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, how: (how == os.F_OK or path.suffix != ".pixels") and access(path, how)
    )
    assert "in memory" in open_stores(parts, Keep("auto"), workers=0)[1]
    with pytest.raises(DataError, match=r"\.pixels belongs to another user"):
        pixels(parts)


def test_two_that_look_at_once_do_not_take_each_other_for_runs(
    photos: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels(parts_of(folder(root=str(photos))))
    with only(place).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda seconds: seconds and fcntl.flock(other, fcntl.LOCK_UN))
        assert not cache.stores(place)[0].in_use
        fcntl.flock(other, fcntl.LOCK_SH)
        monkeypatch.undo()
        assert cache.stores(place)[0].in_use  # the control


def test_a_disk_that_is_full_says_what_to_do(
    photos: Path, place: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[..., None]
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError) as caught:
        pixels(parts_of(folder(root=str(photos))))
    golden("cache_disk_full", str(caught.value), r"[0-9a-f]{32}")
    assert list(place.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/kept cannot be written\. .*data\.cache_dir=FOLDER"):
        pixels(parts_of(folder(root=str(photos))), Keep("disk", str(tmp_path / "file" / "kept")))


def test_a_folder_that_may_not_be_looked_into_is_done_without(photos: Path, locked: Path) -> None:
    parts = parts_of(folder(root=str(photos)))
    for kept in ("auto", "ram", "none"):
        stores, note = open_stores(parts, Keep(kept, str(locked / "cache")), workers=0)  # type: ignore[arg-type]
        assert len(stores) == 2 and ("anew" in note) == (kept == "none")
    assert cache.stores(locked / "cache") == []
    with pytest.raises(DataError, match=r"locked/cache cannot be written\. .*data\.cache_dir=FOLDER"):
        pixels(parts, Keep("disk", str(locked / "cache")))


class Machine:
    """What auto finds: bytes of memory, seconds that decoding takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, memory: int, seconds: float) -> None:
        monkeypatch.setattr(keeping, "available_memory", lambda: memory)
        monkeypatch.setattr(keeping, "_seconds", lambda *_: seconds)


@pytest.mark.parametrize(
    ("memory", "seconds", "limit", "expected"),
    [
        (4 * 8640, 1.0, 1.0, "in memory"),
        (4 * 8640, 5.0, 1.0, "for later runs"),
        (4 * 8640, 5.0, 1e-9, "in memory"),
        (4 * 8640 - 4, 1.0, 1.0, "for later runs"),
        (4 * 8640 - 4, 1.0, 1e-9, "decoded anew each epoch. They do not fit"),
    ],
)
def test_auto_takes_what_fits_and_is_worth_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, memory: int, seconds: float, limit: float, expected: str
) -> None:
    Machine(monkeypatch, memory, seconds)
    samples = glyphs(images=20, size=12, val="test").train
    (store,), note = open_stores([samples], Keep("auto", None, limit), workers=0)
    assert note.startswith("data.cache=auto: the decoded images (0.0 MiB) are ") and expected in note
    assert isinstance(store, StreamedStore) == ("anew" in expected)
    assert place.exists() == ("later" in expected)


@pytest.mark.usefixtures("place")
def test_in_memory_there_must_be_room_for_what_each_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 4 * 2 * 8640, 1.0)
    samples = glyphs(images=20, size=12, val="test").train
    said = [open_stores([samples], Keep("auto", None, 1e-9), workers=0, processes=count)[1] for count in (1, 2, 3)]
    assert ["in memory" in note for note in said] == [True, True, False]


@dataclass(frozen=True)
class Slow(ArraySamples):
    """Images that take a hundredth of a second each, the first of all a whole one; one cannot be read."""

    def image(self, index: int) -> torch.Tensor:
        time.sleep(1.0 if index == 0 else 0.01)
        if index == 7:
            raise DataError("image 7")
        return self.pixels[index]


def test_the_time_to_decode_is_told_by_a_few_images_and_not_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "perf_counter", lambda: sum(slept))
    samples = Slow(torch.zeros(50, 3, 2, 2), torch.zeros(50), [""] * 50)
    assert keeping._seconds(samples, 3000, workers=2) == pytest.approx(15)
    assert len(slept) == 8


def test_auto_takes_the_store_that_an_earlier_run_has_left(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 2**40, 0.0)
    samples = glyphs(images=20, size=12, val="test").train
    assert "in memory" in open_stores([samples], Keep("auto"), workers=0)[1]
    pixels([samples])
    assert "for later runs" in open_stores([samples], Keep("auto"), workers=0)[1]


def test_pages_are_given_back_when_they_are_copied(tmp_path: Path) -> None:
    samples = glyphs(images=60, size=128, val="test").train
    (store,), _ = open_stores([samples], Keep("disk", str(tmp_path)), workers=0)
    mapped = lambda: sum(  # noqa: E731
        int(line.split()[1])
        for part in Path("/proc/self/smaps").read_text().split("VmFlags")
        if ".pixels" in part
        for line in part.splitlines()
        if line.startswith("Rss:")
    )
    for _ in store.gather([torch.arange(60)]):
        assert mapped() < 200  # KiB, of 2,880
    assert isinstance(store, ResidentStore) and isinstance(store.pixels, Packed)
    store.pixels.rows.sum()
    assert mapped() > 2500  # the control


def test_two_locks_on_one_file_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as one, (tmp_path / "file").open("rb") as two:
        assert cache.lock(one, fcntl.LOCK_SH | fcntl.LOCK_NB) and cache.lock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not cache.lock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_images_kept_smaller_than_they_are_seen_are_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data=folder", f"data.root={photos}", "data.size=64", "data.prepare=32"]) == 2
    assert capsys.readouterr().err == (
        "data.prepare: 32 pixels are fewer than data.size=64. Give 64 at least, or leave it out.\n"
    )


@pytest.mark.parametrize(
    ("size", "prepare", "seen", "kept"),
    [
        (None, None, (9, 9), (9, 9)),
        (6, None, (6, 6), (6, 6)),
        (6, 20, (6, 6), (20, 20)),
        (None, 5, (5, 5), (5, 5)),
        ([6, 4], None, (6, 4), (6, 4)),
        ([6, 4], 8, (6, 4), (12, 8)),  # the short side
        ([6, 4], [9, 6], (6, 4), (9, 6)),
    ],
)
def test_images_are_prepared_as_asked_or_as_large_as_they_are_seen(
    photos: Path, size: Any, prepare: Any, seen: tuple[int, int], kept: tuple[int, int]
) -> None:
    source = folder(root=str(photos), size=size, prepare=prepare)
    assert (source.size, source.train.shape) == (seen, (3, *kept))
    assert source.train.image(0).shape == (3, *kept)


@pytest.mark.slow
def test_photographs_give_the_same_batches_wherever_they_are_kept(place: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "jpegs" / name).mkdir(parents=True)
        for index in range(4):
            noise = Image.effect_noise((90 + 9 * index, 70), 80).convert("RGB")
            noise.save(tmp_path / "jpegs" / name / f"{index}.jpg")
    words = ["data=folder", f"data.root={tmp_path / 'jpegs'}", "data.size=24", "model.widths=[4,8]", "batch_size=3"]
    first, *others = (
        list(build(compose([*words, f"data.cache={kept}"], Origin(conf_folder())), lambda *_: None).batches.epoch(1))
        for kept in ("ram", "none", "disk", "disk")
    )
    assert len(first) == 2 and not torch.equal(first[0].images, first[1].images)
    for other in others:
        assert all(torch.equal(one.images, two.images) for one, two in zip(first, other, strict=True))


@pytest.mark.slow
def test_a_run_that_goes_on_with_its_images_kept_elsewhere_stays_bit_identical(
    train: Callable[..., Ended], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("name=unbroken", "data.cache=ram").code == 0
    for kept, fault in (("ram", "term@step=3"), ("disk", "term@step=8"), ("none", "")):
        monkeypatch.setenv("TRAINER_FAULT", fault)
        ended = train("name=moved", "resume=auto", f"data.cache={kept}", "workers=0")
        assert ended.code == (143 if fault else 0), ended.err
    assert fingerprint(tmp_path / "outputs" / "moved") == fingerprint(tmp_path / "outputs" / "unbroken")


def test_the_verb_lists_and_deletes_what_no_run_is_using(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (glyphs(images=20, seed=seed, size=12, val="test").train for seed in (1, 2))
    pixels([one])
    held = open_stores([two], Keep("disk"), workers=0, title="glyphs")
    assert main(["cache"]) == 0
    listed = capsys.readouterr().out
    assert "in use                  20 images 12 x 12, colour: glyphs\n" in listed and "used just now" in listed
    assert f"{place}: 2 stores of decoded images, 0.0 MiB in all." in listed
    assert main(["cache", "clear"]) == 0
    assert "deleted 1 store, 0.0 MiB.\nIn use by runs, and kept: 1.\n" in capsys.readouterr().out
    del held
    assert main(["cache", "clear", f"data.cache_dir={place}"]) == 0
    assert list(place.iterdir()) == []


def test_the_verb_tells_of_compiled_kernels_and_deletes_them(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = place / "kernels" / "0123.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(bytes(2**21))
    assert main(["cache"]) == 0
    assert f"{library.parent}: compiled kernels of 1 version, 2.0 MiB: cache clear deletes" in capsys.readouterr().out
    assert library.exists()
    assert main(["cache", "clear"]) == 0
    assert f"{library.parent}: compiled kernels of 1 version, 2.0 MiB: deleted.\n" in capsys.readouterr().out
    assert not library.exists()


def test_the_verb_names_the_folder_that_clear_must_be_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels([glyphs(images=20, size=12, val="test").train])
    assert main(["cache"]) == 0
    assert "python -m trainer cache clear. They" in capsys.readouterr().out
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "elsewhere"))
    assert main(["cache", f"data.cache_dir={place}"]) == 0
    assert f"python -m trainer cache clear data.cache_dir={place}. They" in capsys.readouterr().out


def test_the_verb_names_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "claer"]) == 2
    assert capsys.readouterr().err == (
        "cache: 'claer' says nothing here. Did you mean 'clear'? It takes clear, and data.cache_dir=FOLDER.\n"
    )


@pytest.mark.slow
def test_the_verb_does_without_torch(tmp_path: Path) -> None:
    program = "import sys; from trainer.cli.main import main; main(['cache']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0
