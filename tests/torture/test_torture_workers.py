"""Worker processes that fail, die or hang: the run ends with one line, and leaves no process."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from PIL import Image
from shared import Ended
from torch import Tensor
from torch.utils.data import _utils

from trainer.data import files as files_module
from trainer.data.decode import Frame, decode
from trainer.feed import stream

MAIN = os.getpid()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (9, 9), (99 * number, 30 * index, 0)).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def others() -> Iterator[set[int]]:
    """The processes that were there before; all that a test starts must be gone after it."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield before
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert left == []


FAULTS: dict[str, Callable[[], object]] = {
    "raises": lambda: [].pop(),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda: os._exit(3),
    "hangs": lambda: time.sleep(1000),
}


@pytest.mark.slow
@pytest.mark.row(32)
@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_that_fails_dies_or_hangs_ends_the_run_with_its_file_and_no_process_left(
    train: Callable[..., Ended],
    photos: Path,
    golden: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    def faulty(path: Path, frame: Frame) -> Tensor:
        if path.parts[-2:] == ("dog", "5.png") and os.getpid() != MAIN:
            FAULTS[fault]()
        return decode(path, frame)

    monkeypatch.setattr(files_module, "decode", faulty)
    monkeypatch.setattr(stream, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(stream, "_LOOK_SECONDS", 0.5)
    for module, name in ((stream, "_END_SECONDS"), (_utils, "MP_STATUS_CHECK_INTERVAL")):
        monkeypatch.setattr(module, name, 0.2)
    words = ("data=folder", f"data.root={photos}", "data.cache=none", "data.val=0.2", "data.normalise=imagenet")
    ended = train(*words, "workers=2", "epochs=1", "batch_size=4", "model.widths=[2]", tiny=False)
    assert ended.code == 1 and len(ended.err.splitlines()) == 1, ended.err
    golden(f"row32_{fault}", ended.err, r"(?<=worker )\d")


@pytest.mark.slow
@pytest.mark.row(32)
def test_a_worker_that_cannot_even_be_killed_is_named_and_left_behind(
    train: Callable[..., Ended], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one is that waits for a disk which is gone."""

    def faulty(path: Path, frame: Frame) -> Tensor:
        if path.parts[-2:] == ("dog", "5.png") and os.getpid() != MAIN:
            time.sleep(1000)
        return decode(path, frame)

    left = set[BaseProcess]()
    monkeypatch.setattr(BaseProcess, "kill", lambda process: left.add(process))
    monkeypatch.setattr(files_module, "decode", faulty)
    monkeypatch.setattr(stream, "PATIENCE_SECONDS", 1.0)
    for module, name in ((stream, "_LOOK_SECONDS"), (stream, "_END_SECONDS"), (_utils, "MP_STATUS_CHECK_INTERVAL")):
        monkeypatch.setattr(module, name, 0.2)
    words = ("data=folder", f"data.root={photos}", "data.cache=none", "data.val=0.2", "data.normalise=imagenet")
    ended = train(*words, "workers=1", "epochs=1", "batch_size=4", "model.widths=[2]", tiny=False)
    stuck = [process for process in left if process.is_alive()]
    try:
        told = re.search(r"Is the drive still there\? Process (\d+) cannot be ended until it is\.", ended.err)
        assert ended.code == 1 and told and len(ended.err.splitlines()) == 1
        assert int(told[1]) in [process.pid for process in stuck]
        assert not active_children()  # whom Python waits for at exit
    finally:
        for process in stuck:
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
            process.join()
