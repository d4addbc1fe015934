"""Row 39: terminals that can do little, encodings that can say little, and clocks that jump."""

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image
from shared import TINY, Ended, lines_of

from trainer.cli.main import main


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """What trains on classes whose names ASCII cannot say; the lines of the run name them."""
    for number, (name, images) in enumerate({"🐱 chat": 20, "Ärger": 30}.items()):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(images):
            Image.new("RGB", (12, 12), (index, 99 * number, 7)).save(tmp_path / "photos" / name / f"ü{index}.png")
    chosen = ["data=folder", f"data.root={tmp_path / 'photos'}", "loss.class_weights=balanced", *TINY[2:], "epochs=1"]
    return [*chosen, f"output={tmp_path / 'outputs'}", "name=x"]


@pytest.mark.slow
@pytest.mark.row(39)
def test_a_run_whose_output_is_ascii_says_the_names_of_its_classes_in_escapes(
    words: list[str], tmp_path: Path, golden: Callable[..., None]
) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON"))}
    poor = {**kept, "LANG": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "COLUMNS": "40"}
    ended = subprocess.run([sys.executable, "-m", "trainer", *words], env=poor, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    text = ended.stdout.decode("ascii")
    assert "\x1b" not in text
    golden("row39_ascii", "".join(line for line in text.splitlines(keepends=True) if "class weights" in line))
    assert "🐱 chat 1.25" in (tmp_path / "outputs" / "x" / "train.log").read_text(encoding="utf-8")


@pytest.mark.row(39)
@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_narrow_terminal_gets_a_bar_and_a_dumb_one_plain_lines(
    words: list[str], monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    for key, value in {"TERM": terminal, "COLUMNS": "40", "LINES": "10"}.items():
        monkeypatch.setenv(key, value)
    ours, theirs = pty.openpty()
    seen: list[bytes] = []
    reader = Thread(target=lambda: seen.extend(iter(lambda: _read(ours), b"")))
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        code = main(words)
    reader.join()
    os.close(ours)
    assert code == 0
    assert b"best val_accuracy" in b"".join(seen)
    assert (b"\x1b[" in b"".join(seen)) == (terminal == "xterm")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.row(39)
def test_a_clock_that_runs_backwards_changes_no_duration(
    train: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = count(400_000, -1)
    monkeypatch.setattr(time, "time", lambda: next(hours) * 3600.0)
    assert train("name=x").code == 0
    text = (tmp_path / "outputs" / "x" / "metrics.jsonl").read_text()
    seconds = [float(found) for found in re.findall(r'seconds": (-?[\d.e-]+)', text)]
    assert len(seconds) >= 6 and all(0 < each < 100 for each in seconds)
    assert len(lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")) == 2


@pytest.mark.row(39)
def test_the_wall_clock_is_read_for_names_and_for_the_age_of_files_alone() -> None:
    package = Path(__file__).parents[2] / "trainer"
    reading = r"\btime\.time\(|\bdatetime\.now\b|\bdate\.today\b|\btime\.(ctime|localtime|strftime)\("
    files = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if re.search(reading, path.read_text())
    }
    assert files == {"records/folder.py", "report/pictures.py", "commands/cache.py", "track/mlflow.py"}
