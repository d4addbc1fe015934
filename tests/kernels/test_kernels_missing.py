"""A run where the kernels cannot be compiled."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shared import Ended

from trainer.kernels import compiled


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without gcc: the folder where kernels would lie."""
    caches = (compiled.library, compiled._path, compiled._compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for each in caches:
        each.cache_clear()
    yield tmp_path / "cache"
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no kernels to miss")
def test_a_run_says_so_and_goes_on_where_there_is_no_compiler(
    no_compiler: Path, train: Callable[..., Ended], golden: Callable[..., None]
) -> None:
    ended = train("name=run", "epochs=1", "data.cache=ram")
    assert ended.code == 0
    golden("kernels_no_compiler", "\n".join(line for line in ended.out.splitlines() if line.startswith("kernels")))
    assert not no_compiler.exists()


def test_kernels_that_are_not_wanted_are_not_missed(no_compiler: Path, train: Callable[..., Ended]) -> None:
    assert "kernels=" not in train("name=run", "epochs=1", "kernels=torch").out
