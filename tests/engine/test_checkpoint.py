"""Checkpoints: whole or not there, and never code."""

import json
import os
import pickle
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from shared import DAMAGES, Crash, Malice, flip_a_bit

from trainer.engine import checkpoint
from trainer.engine.checkpoint import BEST, LAST, PREVIOUS, Checkpoints, SaveError, load
from trainer.errors import CheckpointError


def saved(step: int) -> dict[str, Any]:
    return {"model": {"weight": torch.full((3,), float(step))}, "step": step}


@pytest.fixture
def three(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save_last(saved(step))
    checkpoints.keep("best.pt", saved(2))
    return checkpoints


def step_of(checkpoints: Checkpoints) -> int:
    loaded = checkpoints.load_last()
    assert loaded is not None
    return int(loaded["step"])


def test_the_last_the_previous_and_the_best_are_kept_and_nothing_else(three: Checkpoints) -> None:
    assert sorted(path.name for path in three.folder.iterdir()) == [BEST, LAST, "manifest.json", PREVIOUS]
    assert [load(three.folder / name)["step"] for name in (LAST, PREVIOUS, BEST)] == [3, 2, 2]
    assert step_of(three) == 3 and three.load_best()["step"] == 2


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "not" / "there").load_last() is None


@pytest.mark.row(11)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    three: Checkpoints, damage: Callable[[Path], Any]
) -> None:
    damage(three.folder / LAST)
    assert step_of(three) == 2


@pytest.mark.row(12)
@pytest.mark.parametrize("damage", DAMAGES)
def test_when_every_checkpoint_is_damaged_nothing_starts_from_scratch(
    three: Checkpoints, damage: Callable[[Path], Any]
) -> None:
    damage(three.folder / LAST)
    damage(three.folder / PREVIOUS)
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        three.load_last()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_best_checkpoint_is_told(three: Checkpoints, damage: Callable[[Path], Any]) -> None:
    damage(three.folder / BEST)
    with pytest.raises(CheckpointError, match=r"best\.pt is missing or damaged"):
        three.load_best()


def big(step: int) -> dict[str, Any]:
    return {"model": {"weight": torch.zeros(2**24)}, "step": step}


def test_a_save_makes_no_copy_of_the_weights_in_memory(tmp_path: Path, taken: Callable[[], float]) -> None:
    weights = big(1)
    before = taken()
    Checkpoints(tmp_path).save_last(weights)
    assert taken() - before < 16
    assert (tmp_path / LAST).stat().st_size > 2**26


@pytest.mark.row(7)
def test_a_save_in_the_midst_of_which_the_disk_is_full_tells_that_and_what_it_needs(tmp_path: Path) -> None:
    checkpoints, limits = Checkpoints(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(SaveError) as error:
            checkpoints.save_last(big(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    checkpoints.save_last(big(1))
    needed = (tmp_path / LAST).stat().st_size / 1e6
    assert f"last.pt cannot be written: File too large (it needs {needed:.1f} MB, the disk has " in str(error.value)


def save_and_crash(checkpoints: Checkpoints, step: int, fatal: int) -> int:
    """Saves, until the moment of this number at which something would reach the disk. Gives the moments there were."""
    moments = 0

    def crashing(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal moments
            moments += 1
            if moments == fatal:
                raise Crash
            return original(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch, suppress(Crash):
        patch.setattr(Path, "replace", crashing(Path.replace))
        patch.setattr(os, "fsync", crashing(os.fsync))
        checkpoints.save_last(saved(step))
    return moments


@pytest.mark.row(3)
@pytest.mark.parametrize("fatal", range(1, 9))
def test_a_crash_at_any_moment_of_a_save_leaves_a_good_checkpoint(three: Checkpoints, fatal: int) -> None:
    moments = save_and_crash(three, 4, fatal)  # two syncs of files, three renames, two syncs of the folder
    assert moments == min(fatal, 7), "a save has other moments now: mend the range of this test"
    assert step_of(three) == (4 if fatal >= 7 else 3)
    three.save_last(saved(5))
    assert step_of(three) == 5


@pytest.mark.row(3)
@pytest.mark.row(11)
@pytest.mark.parametrize("fatal", range(1, 8))
def test_a_damaged_checkpoint_never_drives_the_good_one_before_it_out(three: Checkpoints, fatal: int) -> None:
    flip_a_bit(three.folder / LAST)
    assert step_of(three) == 2
    assert save_and_crash(three, 4, fatal) == min(fatal, 6), "the damaged one is not renamed"
    assert step_of(three) == (4 if fatal >= 6 else 2)
    assert three.load_exactly(PREVIOUS)["step"] == 2


@pytest.mark.row(3)
def test_however_many_saves_crash_the_manifest_lists_the_files_that_are_there(three: Checkpoints) -> None:
    for step in range(4, 9):
        save_and_crash(Checkpoints(three.folder), step, fatal=5)  # listed, and not in its place
    assert [three.load_exactly(name)["step"] for name in (LAST, PREVIOUS)] == [3, 2]
    assert three.load_best()["step"] == 2


@pytest.mark.row(14)
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    torch.save({"model": Malice(marker)}, path)
    with pytest.raises(
        CheckpointError, match=r"evil\.pt is not a checkpoint of this program: it would run (posix|os)\.system"
    ):
        load(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the control: unguarded, it does run
    assert marker.exists()


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"a": 1}), b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_checkpoint_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert len(str(error.value).splitlines()) == 1 and "x.pt" in str(error.value)


def test_a_damaged_manifest_vouches_for_nothing(three: Checkpoints) -> None:
    (three.folder / "manifest.json").write_text(json.dumps(["not", "a", "manifest"]))
    with pytest.raises(CheckpointError):
        three.load_last()


def test_the_manifest_forgets_old_checksums(three: Checkpoints) -> None:
    for step in range(10, 30):
        three.save_last(saved(step))
    listed = json.loads((three.folder / "manifest.json").read_text())["sha256"]
    assert len([entry for entry in listed.values() if entry["file"] == LAST]) == checkpoint._REMEMBERED
