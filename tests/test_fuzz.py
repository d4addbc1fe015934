"""A few dozen damaged files for every reader; how many more hold is for `make fuzz` to say."""

import random
from pathlib import Path

import pytest

from fuzz import targets
from fuzz.child import finding, input_of
from fuzz.mutate import mutated
from fuzz.targets import TARGETS, Target
from trainer.data.archive import unpacked

_TRIED = 40


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused(target: str, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    seeds = TARGETS[target].seeds()
    for number in range(max(_TRIED, len(seeds) + 5)):
        assert finding(target, input_of(target, 0, number, seeds), box) is None, number


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("records", "weights", "idx")])
def test_the_good_files_are_read(target: str, tmp_path: Path) -> None:
    for seed in TARGETS[target].seeds():
        TARGETS[target].attempt(seed, tmp_path)


def test_a_crash_and_a_file_beside_the_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(data: bytes, folder: Path) -> None:
        raise KeyError(data)

    (tmp_path / "box").mkdir()
    for name, attempt, words in (
        ("crash", crash, "KeyError: b'x'"),
        ("beside", lambda data, folder: (folder.parent / "evil").write_bytes(data), "files outside its folder"),
    ):
        monkeypatch.setitem(TARGETS, name, Target(lambda: [b"x"], attempt))
        assert words in (finding(name, b"x", tmp_path / "box") or "")


def test_an_input_is_a_function_of_seed_and_number() -> None:
    seeds = [bytes(range(200)), b"another"]
    made = [input_of("a", 1, number, seeds) for number in range(50)]
    assert made == [input_of("a", 1, number, seeds) for number in range(50)] and made[:2] == seeds
    assert len(set(made)) > 40 and made != [input_of("a", 2, number, seeds) for number in range(50)]
    assert mutated([b""], random.Random(0)) is not None


@pytest.mark.parametrize("what", ["[" * 900, "{a: " * 900, "\xff\xfe", "[1, 2]", "3"])
def test_records_nested_without_end_or_of_another_kind_are_damaged_records(what: str, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    assert finding("records", what.encode("latin1"), box) is None


def test_a_checkpoint_that_claims_to_be_one_disk_of_several_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: the look for a zip raised BadZipFile itself."""
    (data,) = TARGETS["checkpoint"].seeds()
    end = bytearray(data[-22:])
    end[4:8] = b"\1\0\1\0"
    (tmp_path / "box").mkdir()
    locator = b"PK\6\7" + (1).to_bytes(4, "little") + bytes(8) + (2).to_bytes(4, "little")
    assert finding("checkpoint", data[:-22] + locator + bytes(end), tmp_path / "box") is None


@pytest.mark.parametrize("evil", ["cache/evil", "cache/a-0123456789abcdef.tmp", "evil", "a.zip"])
def test_what_an_archive_writes_beside_its_place_is_found(
    evil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def escape(path: Path, cache: Path) -> Path:
        place = unpacked(path, cache)
        (path.parent / evil).write_text("evil")
        return place

    (tmp_path / "box").mkdir()
    (data, *_) = TARGETS["zip"].seeds()
    assert finding("zip", data, tmp_path / "box") is None  # the control
    monkeypatch.setattr(targets, "unpacked", escape)
    assert f"files outside its folder: ['{evil}']" in (finding("zip", data, tmp_path / "box") or "")
