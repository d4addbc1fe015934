"""The verb find_lr: searches on tiny data."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from shared import TINY, Ended

from trainer.cli.main import main
from trainer.engine import rate_search
from trainer.engine.health import PATIENCE
from trainer.engine.short_training import Rehearsal

QUICK = (*(word for word in TINY if not word.startswith("model.")), "model=mlp", "model.width=16", "model.image_size=4")
"""With a network of a few hundred steps a second."""


@pytest.mark.slow
def test_it_says_what_each_rate_reached_the_best_and_the_command_to_use_it(
    train: Callable[..., Ended],
    learnt: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    words = ["find_lr", *learnt, f"output={tmp_path}", "name=a b", "optim.lr=0.01"]
    monkeypatch.setattr("sys.argv", ["trainer", *words])
    assert main(words) == 0
    out = capsys.readouterr().out
    said = re.search(
        r"^suggested: optim\.lr=(\S+): of \d+ rates from 0\.0001 to \S+ it (reaches|is) the lowest", out, re.M
    )
    assert said is not None and 1e-3 < float(said[1]) <= 10
    rows = re.findall(r"^ +(\S+) +(?:diverged|\S+ \(\d+\.\d%\)).*$", out, re.MULTILINE)
    assert len(rows) >= 9 and said[1] in rows
    command = shlex.split(next(line for line in out.splitlines() if line.startswith("use it: "))[len("use it: ") :])
    assert command == ["python", "-m", "trainer", *learnt, f"output={tmp_path}", "name=a b", f"optim.lr={said[1]}"]
    assert train(*command[3:], "epochs=1", tiny=False).code == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer_and_nothing_is_written_but_the_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, learnt: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rate_search, "_FEWEST_STEPS", 4)
    answers = []
    for _ in range(2):
        assert main(["find_lr", *learnt, "name=rates", "seed=3"]) == 0
        answers.append((capsys.readouterr().out, Path("outputs/find_lr/rates.png").read_bytes()))
    assert answers[0] == answers[1]
    assert [path for path in Path("outputs").rglob("*") if path.is_file()] == [Path("outputs/find_lr/rates.png")]
    with Image.open("outputs/find_lr/rates.png") as picture:
        assert picture.size == (800, 450)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("init=zeros",), 1, "lowers the validation loss within"),
        (("optim.lrr=1",), 2, "Did you mean 'lr'?"),
        (("resume=auto", "name=x"), 2, "find_lr: resume cannot act"),
        (("data=folder", "data.root=nowhere"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_found_is_told(
    words: tuple[str, ...], code: int, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny = [word for word in QUICK if not word.startswith("data.") or "data=folder" not in words]
    assert main(["find_lr", *tiny, f"output={tmp_path}", *words]) == code
    assert expected in capsys.readouterr().err


def test_where_every_training_diverges_the_rate_is_not_at_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Rehearsal, "_train", lambda self, *_: self.state.streaks.fill_(PATIENCE))
    assert main(["find_lr", *QUICK, f"output={tmp_path}"]) == 6
    told = capsys.readouterr()
    assert told.err.startswith("Training diverges at every rate from 9.5e-07 up, so the rate is not at fault")
    assert "diverged" in told.out and "suggested" not in told.out
