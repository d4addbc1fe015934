"""What the tests share: tiny runs through the command line, in a folder of their own."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, on tiny models: before torch is imported

import ctypes
import gc
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from composing import compose_once
from hypothesis import settings
from PIL import Image
from shared import TINY, Ended, forked

from trainer.cli.main import main, script

settings.register_profile("shared", deadline=None)  # tests run side by side, on machines that others use too
settings.load_profile("shared")

GOLDEN = Path(__file__).parent / "golden" / "messages"


compose_once()


def pytest_collection_finish() -> None:
    """What is imported by now stays: Python need not look through all of torch for cycles again and again."""
    gc.freeze()


@pytest.fixture
def golden(tmp_path: Path) -> Callable[..., None]:
    """Compares what a user sees with tests/golden/messages/NAME.txt, the folder of the test being TMP there.

    varying: patterns of what differs between two runs or machines, each shown as '…'. UPDATE_GOLDEN=1 writes the file
    anew: read it then, as one who has nothing else to go by.
    """

    def compare(name: str, text: str, *varying: str) -> None:
        text = text.replace(str(tmp_path), "TMP")
        for pattern in varying:
            text = re.sub(pattern, "…", text)
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def taken() -> Callable[[], float]:
    """MiB by which this process has at most grown since the test began, whatever it took before."""
    ctypes.CDLL(None).malloc_trim(0)  # else what a run has freed could be taken unseen
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_mib()
    return lambda: _peak_mib() - before


def _peak_mib() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this user may not look into. Root may look into any: so it is played."""
    folder = tmp_path / "locked"
    folder.mkdir()

    def denied(call: Callable[..., object]) -> Callable[..., object]:
        def checked(path: object, *rest: object, **options: object) -> object:
            if isinstance(path, str | Path) and folder in Path(path).parents:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *rest, **options)

        return checked

    access = os.access
    for name in ("stat", "mkdir", "open", "listdir", "scandir"):
        monkeypatch.setattr(os, name, denied(getattr(os, name)))

    def may(path: str | Path, how: int) -> bool:
        seen = folder not in Path(path).parents and access(path, how)
        return seen and (Path(path) != folder or how == os.F_OK)

    monkeypatch.setattr(os, "access", may)
    return folder


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Trains a tiny run in this process; words are added to the command line. Runs go to tmp_path/outputs.

    tiny: False is a run of these words alone. Its page is drawn where they say report=true.
    """

    def command(*words: str, tiny: bool = True) -> Ended:
        code = main([f"output={tmp_path / 'outputs'}", "report=false", *(TINY if tiny else ()), *words])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


@pytest.fixture
def learnt(tmp_path: Path) -> tuple[str, ...]:
    """The words of a run on two classes of 24 pictures each, light and dark, which a few steps learn."""
    rng, root = np.random.default_rng(0), tmp_path / "photos"
    for name, low in (("dark", 0), ("light", 100)):
        (root / name).mkdir(parents=True)
        for number in range(24):
            pixels = rng.integers(low, low + 150, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    of_run = ("model=small_cnn", "model.widths=[4,8]", "batch_size=8", "epochs=4", "optim=adamw", "preset=none")
    return "data=folder", f"data.root={root}", *of_run, "aug=none", "device=cpu", "precision=fp32"


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run that nothing happened to: not to be changed."""
    outputs = tmp_path_factory.mktemp("unbroken")
    assert main([f"output={outputs}", *TINY, "name=x"]) == 0
    return outputs / "x"


@pytest.fixture
def finished(unbroken: Path, tmp_path: Path) -> Path:
    """A copy of that run, as train("name=x") would leave it."""
    return Path(shutil.copytree(unbroken, tmp_path / "outputs" / "x"))


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., Ended]:
    """Trains a tiny run in a process of its own, which may be killed.

    fault: what TRAINER_FAULT says. before: what the process does first.
    """

    def command(*words: str, fault: str = "", tiny: bool = True, before: Callable[[], object] = lambda: None) -> Ended:
        told = [*(TINY if tiny else ()), f"output={tmp_path / 'outputs'}", *words]
        out, err = tmp_path / "spawned.out", tmp_path / "spawned.err"

        def become() -> None:
            before()
            _become(told, fault, out, err)

        return Ended(forked(become), out.read_text(), err.read_text())

    return command


def _become(words: Sequence[str], fault: str, out: Path, err: Path) -> NoReturn:
    """What `python -m trainer` does, in a fork."""
    code = 99  # not one of the program's
    try:
        os.environ["TRAINER_FAULT"] = fault
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["trainer", *words]
        script()
    except SystemExit as ended:
        code = int(ended.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
