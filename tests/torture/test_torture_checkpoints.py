"""Torture, rows 3 to 7: runs that are killed while they save, told to stop, and that find the disk full."""

import errno
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from shared import TINY, Ended, fingerprint, forked, lines_of

from trainer.engine.checkpoint import Checkpoints, SaveError, load
from trainer.records.lines import read_metrics
from trainer.records.metrics import MetricsFile
from trainer.system import durable

Command = Callable[..., Ended]
SIZES = r"[\d,]+\.\d MB"


def _save_and_die(checkpoints: Checkpoints, moment: str) -> None:
    """Ends this process in a save."""

    def cut(descriptor: int) -> None:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "half":
        os.fsync = cut
    os.environ["TRAINER_FAULT"] = f"kill@last.pt:{moment}=3"
    checkpoints.save_last({"step": 3, "weight": torch.zeros(9)})


@pytest.mark.row(3)
def test_a_process_killed_at_any_moment_of_a_save_leaves_a_checkpoint_that_loads(tmp_path: Path) -> None:
    steps = {"begin": 2, "half": 2, "written": 2, "listed": 2, "between": 2, "renamed": 3}
    for moment in steps:
        checkpoints = Checkpoints(tmp_path / moment)
        for step in (1, 2):
            checkpoints.save_last({"step": step, "weight": torch.zeros(9)})
        assert forked(partial(_save_and_die, checkpoints, moment)) == -signal.SIGKILL
    left = {moment: bool(list((tmp_path / moment).glob("*.tmp"))) for moment in steps}
    assert left == {moment: moment not in ("begin", "renamed") for moment in steps}
    for moment, step in steps.items():
        saved = Checkpoints(tmp_path / moment).load_last()
        assert saved is not None and saved["step"] == step, moment


@pytest.mark.slow
@pytest.mark.row(3)
@pytest.mark.row(5)
def test_a_second_interrupt_ends_at_once_and_what_it_left_half_written_goes_at_the_next_start(
    spawn: Command, train: Command, tmp_path: Path, unbroken: Path
) -> None:
    folder = tmp_path / "outputs" / "x"
    assert spawn("name=x", fault="int@step=8,int@last.pt:written=8").code == -signal.SIGINT
    assert load(folder / "checkpoints" / "last.pt")["step"] == 6
    assert (folder / "checkpoints" / "last.pt.tmp").exists()
    (folder / "config.yaml.tmp").write_text("half")
    ended = train("name=x", "resume=auto")
    assert ended.code == 0 and "Goes on after step 6, in epoch 2." in ended.out
    assert not list(folder.rglob("*.tmp"))
    assert fingerprint(folder) == fingerprint(unbroken)


@pytest.mark.slow
@pytest.mark.row(4)
def test_a_signal_to_the_whole_group_ends_it_after_a_good_save_and_leaves_no_process(
    train: Command, tmp_path: Path, golden: Callable[..., None]
) -> None:
    outputs, words = tmp_path / "outputs", (*TINY, "epochs=6", "data.cache=none")
    command = [sys.executable, "-m", "trainer", *words, f"output={outputs}", "name=x", "workers=2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    metrics = outputs / "x" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)  # as `timeout` does, which tells the process, and then its group
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 143, said
    golden("row04_stopped", said, r"(?<=after step )\d+")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert train(*words, "name=x", "resume=auto", "workers=0").code == 0
    assert train(*words, "name=unbroken", "workers=0").code == 0
    assert fingerprint(outputs / "x") == fingerprint(outputs / "unbroken")


@pytest.mark.slow
@pytest.mark.row(6)
@pytest.mark.parametrize("moment", ["begin=0", "validation=1", "best.pt:listed=6", "last.pt:begin=12"])
def test_a_signal_before_the_first_step_in_validation_or_in_a_save_stops_the_run_after_one_save(
    train: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[..., None],
    unbroken: Path,
    moment: str,
) -> None:
    saves: list[tuple[int, int]] = []

    def counted(self: Checkpoints, saved: dict[str, Any]) -> None:
        saves.append((saved["step"], saved["epoch"]))
        save_last(self, saved)

    save_last = Checkpoints.save_last
    monkeypatch.setattr(Checkpoints, "save_last", counted)
    monkeypatch.setenv("TRAINER_FAULT", f"term@{moment}")
    ended = train("name=x")
    assert ended.code == 143, ended.err
    if moment == "begin=0":
        golden("row06_stopped_before_the_first_step", ended.err)
    assert len(saves) == len(set(saves)), "the same state twice: the one before it is gone"
    monkeypatch.delenv("TRAINER_FAULT")
    assert train("name=x", "resume=auto").code == 0
    assert fingerprint(tmp_path / "outputs" / "x") == fingerprint(unbroken)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the disk full for these of the checkpoints that are written, counted from 1."""

    def fill(*numbers: int) -> None:
        count = 0

        def write(path: Path, content: Callable[[BinaryIO], object]) -> Path:
            nonlocal count
            count += path.suffix == ".pt"
            if path.suffix == ".pt" and count in numbers:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write_beside(path, content)

        write_beside = durable.write_beside
        monkeypatch.setattr(durable, "write_beside", write)

    return fill


@pytest.mark.row(7)
@pytest.mark.parametrize("failing", [(1,), (2,), (1, 2), (3, 4)])
def test_a_save_that_finds_the_disk_full_is_told_and_made_up_for(
    train: Command,
    tmp_path: Path,
    full: Callable[..., None],
    golden: Callable[..., None],
    failing: tuple[int, ...],
    unbroken: Path,
) -> None:
    full(*failing)  # in this run: best and last of epoch 1, then of epoch 2
    ended = train("name=x", "save_every=4")
    folder = tmp_path / "outputs" / "x"
    assert ended.code == 0, ended.err
    told = [line for line in ended.out.splitlines() if "cannot be written" in line]
    assert len(told) == len(failing) == len(lines_of(folder / "metrics.jsonl", "event"))
    if failing == (1,):
        golden("row07_disk_full_once", f"{told[0]}\n", SIZES)
    assert fingerprint(folder) == fingerprint(unbroken)


@pytest.mark.row(7)
def test_three_saves_in_a_row_that_find_the_disk_full_end_the_run_and_the_old_checkpoint_stays(
    train: Command, tmp_path: Path, full: Callable[..., None], golden: Callable[..., None], unbroken: Path
) -> None:
    folder = tmp_path / "outputs" / "x"
    full(4, 5, 6)
    ended = train("name=x", "save_every=1")
    assert ended.code == 1
    golden("row07_disk_full", ended.err, SIZES)
    assert load(folder / "checkpoints" / "last.pt")["step"] == 3
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
    assert train("name=x", "resume=auto").code == 0
    assert fingerprint(folder) == fingerprint(unbroken)


@pytest.mark.slow
@pytest.mark.row(7)
def test_weights_to_be_kept_for_which_the_disk_is_full_are_written_by_the_next_save(
    train: Command, tmp_path: Path, full: Callable[..., None]
) -> None:
    assert train("name=unbroken", "keep_every=1").code == 0
    full(2)  # after that of step 4: what is kept of epoch 1
    ended = train("name=x", "keep_every=1", "save_every=4")
    assert ended.code == 0 and ended.out.count("cannot be written") == 1
    kept = [
        {path.name: load(path)["model"] for path in (tmp_path / "outputs" / name / "checkpoints").glob("epoch*.pt")}
        for name in ("x", "unbroken")
    ]
    assert kept[0].keys() == kept[1].keys() and len(kept[0]) == 2
    for name, model in kept[0].items():
        assert all(torch.equal(tensor, kept[1][name][key]) for key, tensor in model.items())


@pytest.mark.slow
@pytest.mark.row(7)
def test_a_full_disk_before_the_first_step_of_a_run_that_may_roll_back_is_told_and_recorded(
    train: Command, tmp_path: Path, full: Callable[..., None], golden: Callable[..., None]
) -> None:
    full(1)
    ended = train("name=x", "on_nonfinite=rollback")
    assert ended.code == 1
    golden("row07_disk_full_at_start", ended.err, SIZES)
    events = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")
    assert [line["event"] for line in events] == ["save failed", "failed"]
    assert train("name=x", "on_nonfinite=rollback", "resume=auto").code == 0


@pytest.mark.slow
@pytest.mark.row(7)
def test_a_run_whose_last_save_fails_is_not_called_finished(
    train: Command, tmp_path: Path, full: Callable[..., None], unbroken: Path
) -> None:
    full(3, 4)  # the last one of epoch 2, which is not the best, and the one that makes up for it
    ended = train("name=x")
    assert ended.code == 1 and "Training stops after step 12; what was saved before is intact." in ended.err
    assert train("name=x", "resume=auto").code == 0
    assert fingerprint(tmp_path / "outputs" / "x") == fingerprint(unbroken)


@pytest.mark.row(7)
def test_a_signal_on_a_full_disk_does_not_claim_that_all_is_saved(
    train: Command, monkeypatch: pytest.MonkeyPatch, full: Callable[..., None], golden: Callable[..., None]
) -> None:
    full(3)
    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")
    ended = train("name=x")
    assert ended.code == 1
    golden("row07_disk_full_at_signal", ended.err, SIZES)


@pytest.mark.slow
@pytest.mark.row(7)
def test_lines_that_a_full_disk_does_not_take_are_written_when_there_is_room(
    train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: Path
) -> None:
    failures = 0

    def write(self: MetricsFile) -> None:
        nonlocal failures
        failures += 1
        if failures <= 5:  # of three lines, then before two saves
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(self)

    whole = MetricsFile._write
    monkeypatch.setattr(MetricsFile, "_write", write)
    ended = train("name=x", "save_every=4")
    assert ended.code == 0 and "metrics.jsonl cannot be written: No space left on device." in ended.out
    assert fingerprint(tmp_path / "outputs" / "x") == fingerprint(unbroken)


class FullOutput(io.StringIO):
    """The screen is a file on the full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
@pytest.mark.row(7)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_really_full_tears_no_line_and_takes_no_run_down(
    train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MetricsFile(Path("/dev/full")) as metrics:
        metrics.append("event", 1, 1, event="one")
        with pytest.raises(SaveError, match="/dev/full cannot be written: No space left on device"):
            metrics.sync()
        with (tmp_path / "metrics.jsonl").open("ab", buffering=0) as room:
            metrics._file.close()
            monkeypatch.setattr(metrics, "_file", room)
            metrics.append("event", 2, 1, event="two")
    assert [line["event"] for line in read_metrics(tmp_path / "metrics.jsonl")] == ["one", "two"]
    log = tmp_path / "outputs" / "x" / "train.log"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    monkeypatch.setattr(sys, "stdout", FullOutput())
    assert train("name=x").code == 0


@pytest.mark.row(7)
def test_a_limit_of_the_system_on_files_is_told_like_a_full_disk(
    spawn: Command, tmp_path: Path, golden: Callable[..., None]
) -> None:
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (8_000, 8_000))
    ended = spawn("name=x", "save_every=2", before=limited)
    assert ended.code == 1, ended.err
    golden("row07_file_limit", ended.err, SIZES)
    assert re.findall(r"this is number (\d)", ended.out) == ["1", "2"]
    assert not list((tmp_path / "outputs" / "x" / "checkpoints").iterdir())
