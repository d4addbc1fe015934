"""Archives from strangers: unpacked once, or refused with nothing left outside their place."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import Ended

from trainer.cli.main import main
from trainer.data import archive as archive_module
from trainer.data.archive import unpacked
from trainer.errors import DataError

Member = tuple[tarfile.TarInfo, bytes]


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(top: str = "") -> dict[str, bytes]:
    return {f"{top}{name}/{index}.png": picture(10 * index + len(name)) for name in ("a", "bb") for index in range(6)}


def file(name: str, content: bytes = b"x") -> Member:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry, content


def other(name: str, kind: bytes, to: str = "") -> Member:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry, b""


def tar(path: Path, members: list[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for entry, content in members:
            opened.addfile(entry, io.BytesIO(content))
    return path


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


@pytest.mark.row(37)
@pytest.mark.parametrize("kind", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
def test_a_run_trains_from_an_archive_as_from_its_folder_and_unpacks_it_once(
    train: Callable[..., Ended], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, files = tmp_path / kind, pictures("photos/")
    if kind.endswith("zip"):
        zipped(path, files)
    else:
        tar(path, [file(*each) for each in files.items()], "w" if kind.endswith("tar") else "w:gz")
    words = ("data=folder", f"data.cache_dir={tmp_path / 'cache'}", "model.widths=[2]", "epochs=1", "workers=0")
    ended = train(*words, f"data.root={path}", tiny=False)
    assert ended.code == 0, ended.err
    assert f"{path}: unpacked into {tmp_path / 'cache' / 'archives' / 'set-'}" in ended.out
    monkeypatch.setattr(archive_module, "_unpack_whole", None)  # it would fail if it were called again
    place = unpacked(path, tmp_path / "cache" / "archives")
    assert {str(each.relative_to(place)): each.read_bytes() for each in place.rglob("*.png")} == files


@pytest.mark.row(37)
def test_a_changed_archive_is_unpacked_anew(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x/1": b"old"})
    first = unpacked(path, tmp_path / "cache")
    zipped(path, {"x/1": b"newer"})
    assert unpacked(path, tmp_path / "cache") != first


@pytest.mark.row(37)
def test_links_that_stay_inside_are_links(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "a.tgz",
        [
            file("all/1.png"),
            other("train/cat/1.png", tarfile.SYMTYPE, "../../all/1.png"),
            other("2.png", tarfile.LNKTYPE, "all/1.png"),
        ],
    )
    place = unpacked(path, tmp_path / "cache")
    assert (place / "train" / "cat" / "1.png").read_bytes() == (place / "2.png").read_bytes() == b"x"


def bomb(path: Path) -> Path:
    """A gigabyte that a megabyte claims."""
    entry = tarfile.TarInfo("zeros")
    entry.size = 2**30
    with gzip.open(path, "wb") as opened:
        opened.write(entry.tobuf() + bytes(2**20))
    return path


def long_header(path: Path) -> Path:
    """A name of a gigabyte."""
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2**30
    with gzip.open(path, "wb") as opened:
        opened.write(entry.tobuf() + bytes(2**20))
    return path


def locked(path: Path) -> Path:
    """As zip marks an entry that a password locks."""
    data = bytearray(zipped(path, {"a": b"x"}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    return path


def linked(path: Path) -> Path:
    """A zip with a symbolic link to /etc."""
    entry = zipfile.ZipInfo("etc")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(entry, "/etc")
    return path


def cut(path: Path, count: int) -> Path:
    path.write_bytes(path.read_bytes()[:count])
    return path


def whole(path: Path) -> Path:
    return tar(
        path, [file("a/1", os.urandom(3000)), file("b/2", os.urandom(3000))], "w:gz" if "gz" in path.name else "w"
    )


EVIL: dict[str, Callable[[Path], Path]] = {
    "up.zip": lambda path: zipped(path, {"../evil": b"x"}),
    "absolute.zip": lambda path: zipped(path, {"/tmp/evil": b"x"}),
    "link.zip": linked,
    "locked.zip": locked,
    "bomb.zip": lambda path: zipped(path, {"zeros": bytes(2**27)}),
    "bzip2.zip": lambda path: zipped(path, {"a": b"x"}, zipfile.ZIP_BZIP2),
    "cut.zip": lambda path: cut(zipped(path, pictures()), 700),
    "text.zip": lambda path: cut(zipped(path, {"a": b"x"}), 9),
    "up.tgz": lambda path: tar(path, [file("a/../../evil")]),
    "absolute.tgz": lambda path: tar(path, [file("/tmp/evil")]),
    "link_up.tgz": lambda path: tar(path, [other("a/out", tarfile.SYMTYPE, "../../evil")]),
    "link_absolute.tgz": lambda path: tar(path, [other("out", tarfile.SYMTYPE, "/etc")]),
    "hard_link.tgz": lambda path: tar(path, [other("a/out", tarfile.LNKTYPE, "../evil")]),
    "link_behind_link.tgz": lambda path: tar(
        path, [other("d", tarfile.SYMTYPE, "."), other("out", tarfile.SYMTYPE, "d/../evil")]
    ),
    "through_link.tgz": lambda path: tar(path, [other("d", tarfile.SYMTYPE, "e"), file("d/evil")]),
    "device.tgz": lambda path: tar(path, [other("null", tarfile.CHRTYPE)]),
    "fifo.tgz": lambda path: tar(path, [other("pipe", tarfile.FIFOTYPE)]),
    "bomb.tgz": bomb,
    "long_header.tgz": long_header,
    "cut.tgz": lambda path: cut(whole(path), 4000),
    "cut.tar": lambda path: cut(whole(path), 5000),
    "cut_between.tar": lambda path: cut(whole(path), 3584),
    "empty.tar": lambda path: cut(whole(path), 0),
}


def everything(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder))


@pytest.mark.slow
@pytest.mark.row(37)
@pytest.mark.parametrize("name", EVIL)
def test_an_archive_that_is_not_to_be_trusted_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, golden: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    path = EVIL[name](tmp_path / name)
    taken = request.getfixturevalue("taken")  # from now on
    with pytest.raises(DataError) as caught:
        unpacked(path, tmp_path / "in" / "cache")
    assert taken() < 100
    assert list(everything(tmp_path)) == sorted([name, "in", "in/cache", "in/cache/unpacking.lock"])
    assert "\n" not in str(caught.value)
    golden(f"row37_{name.replace('.', '_')}", f"{caught.value}\n")


@pytest.mark.row(37)
def test_more_entries_than_a_set_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "_MOST_ENTRIES", 3)
    for path in (
        zipped(tmp_path / "a.zip", pictures()),
        tar(tmp_path / "a.tar", [file(str(i)) for i in range(4)], "w"),
    ):
        with pytest.raises(DataError, match="more than 3 entries"):
            unpacked(path, tmp_path / "cache")


@pytest.mark.row(37)
def test_a_refused_archive_is_one_line_for_the_user(train: Callable[..., Ended], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"../evil": b"x"})
    ended = train("data=folder", f"data.root={path}", f"data.cache_dir={tmp_path / 'cache'}", tiny=False)
    assert ended.code == 3 and ended.err == f"{path}: refused, '../evil' would be written outside its folder.\n"


@pytest.mark.row(37)
def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_module.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match=r"cannot be unpacked into .*No space left on device.*Make room"):
        unpacked(zipped(tmp_path / "a.zip", pictures()), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["unpacking.lock"]


def test_what_was_unpacked_is_listed_with_its_size_and_is_not_deleted_under_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    place = cache / "archives" / "set-0123456789abcdef" / "cat"
    place.mkdir(parents=True)
    (place / "1.png").write_bytes(bytes(2**20))
    (place / "2.png").touch()
    for words in (["cache"], ["cache", "clear"]):
        assert main([*words, f"data.cache_dir={cache}"]) == 0
        told = capsys.readouterr().out.splitlines()[-1]
        assert told == f"{cache / 'archives'}: 2 files out of archives, 1.0 MiB. Delete it when no run reads there."
    assert (place / "1.png").exists()


@pytest.mark.row(37)
def test_a_cache_folder_that_may_not_be_looked_into_is_told(tmp_path: Path, locked: Path) -> None:
    path = zipped(tmp_path / "a.zip", pictures())
    with pytest.raises(DataError, match=r"cannot be unpacked into .*Permission denied.*data\.cache_dir=FOLDER"):
        unpacked(path, locked / "cache")


@pytest.mark.row(37)
@pytest.mark.parametrize("loss", ["file", "bytes", "record"])
def test_what_is_no_longer_whole_is_unpacked_anew(tmp_path: Path, loss: str) -> None:
    files = {"x/1": b"one", "x/2": b"two"}
    path = zipped(tmp_path / "a.zip", files)
    place = unpacked(path, tmp_path / "cache")
    lost = place.with_name(f"{place.name}.whole") if loss == "record" else place / "x" / "2"
    os.truncate(lost, 0) if loss == "bytes" else lost.unlink()
    assert unpacked(path, tmp_path / "cache") == place
    assert {str(each.relative_to(place)): each.read_bytes() for each in place.rglob("?") if each.is_file()} == files


@pytest.mark.row(37)
def test_archives_are_written_through_before_they_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, seen = tmp_path / "cache", list[set[str]]()
    monkeypatch.setattr(os, "sync", lambda: seen.append({each.suffix for each in cache.iterdir()}))
    unpacked(zipped(tmp_path / "a.zip", {"x/1": b"one"}), cache)
    assert seen == [{".tmp", ".whole", ".lock"}]


@pytest.mark.row(37)
def test_what_a_killed_run_left_of_an_older_archive_goes_when_another_is_unpacked(tmp_path: Path) -> None:
    left = tmp_path / "cache" / f"old-{0:016}.tmp"
    left.mkdir(parents=True)
    unpacked(zipped(tmp_path / "a.zip", pictures()), tmp_path / "cache")
    assert not left.exists()
