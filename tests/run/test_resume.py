"""A run that was stopped, however it was, goes on as if nothing had happened."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from shared import Ended, fingerprint, lines_of

Command = Callable[..., Ended]

HARD = ("ema=0.9", "model.dropout=0.2", "clip_norm=1", "accumulate=2", "early_stop=2", "epochs=3", "data.images=200")
"""State in every corner: averages, dropout, counters. 12 micro-batches, 6 steps an epoch."""


@pytest.mark.row(1)
@pytest.mark.row(2)
@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        (("precision=fp32", "model.widths=[16,32]"), "workers=0", "workers=0"),  # so wide that the kernels serve it
        pytest.param(("precision=bf16", "data.cache=none"), "workers=2", "workers=0", marks=pytest.mark.slow),
        pytest.param(("precision=fp16", "data.cache=none"), "workers=0", "workers=2", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_twice_in_an_epoch_ends_bit_identical(
    spawn: Command, tmp_path: Path, words: tuple[str, ...], before: str, after: str
) -> None:
    assert spawn(*HARD, *words, before, "name=unbroken").code == 0
    assert spawn(*HARD, *words, before, "name=killed", fault="kill@step=12").code == -9
    told = (*HARD, *words, "save_every=2", "name=killed", "resume=auto")
    assert spawn(*told, before, fault="kill@step=14").code == -9
    ended = spawn(*told, after)
    assert ended.code == 0, ended.err
    assert "Goes on after step 12, in epoch 3." in ended.out
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")
    assert len(lines_of(outputs / "killed" / "metrics.jsonl", "event")) == 2


@pytest.mark.row(4)
@pytest.mark.row(5)
@pytest.mark.parametrize(("signal", "code"), [("term", 143), ("int", 130)])
def test_a_signal_stops_the_run_after_a_good_save_and_it_goes_on_bit_identical(
    spawn: Command, tmp_path: Path, unbroken: Path, golden: Callable[..., None], signal: str, code: int
) -> None:
    outputs = tmp_path / "outputs"
    ended = spawn("name=stopped", fault=f"{signal}@step=7")
    assert ended.code == code
    golden(f"row05_{signal}", ended.err)
    assert torch.load(outputs / "stopped" / "checkpoints" / "last.pt", weights_only=True)["step"] == 7
    assert spawn(f"resume={outputs / 'stopped'}", tiny=False).code == 0
    assert fingerprint(outputs / "stopped") == fingerprint(unbroken)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("optim=rmsprop", "sched=plateau", "sched.patience=1", "optim.lr=0.05", "monitor=val_loss", "epochs=6"),
        ("optim=lamb", "precision=fp16", "optim.stage_decay=0.5", "epochs=3"),
        ("optim=sgd", "optim.nesterov=false", "optim.debias=true", "optim.decay=decoupled", "epochs=3"),
        ("limit_train=47", "batch_size=1", "accumulate=8", "epochs=2"),
    ],
)
def test_whatever_changes_during_training_is_saved(
    train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    outputs, step = tmp_path / "outputs", 6 * int(words[-1].removeprefix("epochs=")) - 3  # in the last epoch
    assert train(*words, "name=unbroken").code == 0
    monkeypatch.setenv("TRAINER_FAULT", f"term@step={step}")
    assert train(*words, "name=stopped").code == 143
    monkeypatch.delenv("TRAINER_FAULT")
    assert train(*words, "name=stopped", "resume=auto").code == 0
    assert fingerprint(outputs / "stopped") == fingerprint(outputs / "unbroken")


def test_the_same_command_with_resume_auto_starts_goes_on_and_says_when_it_is_done(
    train: Command, tmp_path: Path
) -> None:
    assert train("name=x", "resume=auto").code == 0
    records = (tmp_path / "outputs" / "x" / "metrics.jsonl").read_bytes()
    again = train("name=x", "resume=auto")
    assert again.code == 0 and "is finished" in again.out
    assert (tmp_path / "outputs" / "x" / "metrics.jsonl").read_bytes() == records


@pytest.mark.slow
def test_the_whole_command_may_be_said_again_with_resume_folder(spawn: Command, tmp_path: Path) -> None:
    words = ("data=glyphs", "model=small_cnn", "name=x")
    assert spawn(*words, fault="kill@step=7").code == -9
    ended = spawn(*words, f"resume={tmp_path / 'outputs' / 'x'}")
    assert ended.code == 0 and "Goes on after step 6" in ended.out


@pytest.mark.slow
def test_epochs_may_be_raised_and_the_run_goes_on_from_its_end(train: Command, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "x"
    assert train("name=x", "sched=constant").code == 0
    assert train(f"resume={folder}", "epochs=3", tiny=False).code == 0
    assert train("name=longer", "sched=constant", "epochs=3").code == 0
    assert fingerprint(folder) == fingerprint(tmp_path / "outputs" / "longer")


@pytest.mark.row(18)
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=0.5", "optim.lr: 0.003 before, 0.5 now"),
        ("batch_size=8", "batch_size: 16 before, 8 now"),
        ("seed=1", "seed: 0 before, 1 now"),
        ("epochs=1", "epochs: 2 before, 1 now: it may only be raised"),
        ("model.widths=[4,8,8]", "model.widths: [4, 8] before, [4, 8, 8] now"),
        ("sched=constant", "sched.name: one_cycle before, constant now"),
    ],
)
def test_a_change_that_would_alter_the_result_is_refused_with_what_differs(
    train: Command, finished: Path, word: str, told: str
) -> None:
    before = (finished / "config.yaml").read_bytes()
    ended = train("name=x", "resume=auto", word)
    assert ended.code == 2
    assert told in [line.strip() for line in ended.err.splitlines()]
    assert (finished / "config.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize("words", [("workers=2", "log_every=3"), ("save_every=1", "data.cache=none")])
def test_a_change_that_alters_nothing_is_allowed(spawn: Command, words: tuple[str, ...]) -> None:
    assert spawn("name=x", fault="kill@step=7").code == -9
    assert spawn("name=x", "resume=auto", *words).code == 0


def test_data_that_changed_meanwhile_are_refused(train: Command, finished: Path) -> None:
    about = finished / "run.json"
    about.write_text(about.read_text().replace(json.loads(about.read_text())["fingerprint"], "0" * 64))
    ended = train("name=x", "resume=auto", "epochs=3")
    assert ended.code == 3 and "The data have changed" in ended.err


def test_another_thread_count_is_told_and_recorded(train: Command, finished: Path) -> None:
    about = finished / "run.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "threads": 77}))
    ended = train("name=x", "resume=auto", "epochs=3")
    assert "Not bit-exact from here on: the number of threads was 77" in ended.out
    events = lines_of(finished / "metrics.jsonl", "event")
    assert "threads" in str(events[0]["changed"])


def test_a_folder_that_holds_no_run_is_told_with_the_nearest_name(train: Command, tmp_path: Path) -> None:
    train("name=my-run")
    ended = train(f"resume={tmp_path / 'outputs' / 'my-rum'}", tiny=False)
    assert ended.code == 4 and "Did you mean 'my-run'?" in ended.err


def test_resume_auto_without_a_name_asks_for_one(train: Command) -> None:
    ended = train("resume=auto")
    assert ended.code == 2 and "name=NAME" in ended.err


@pytest.mark.row(9)
def test_two_runs_never_write_into_one_folder(train: Command, finished: Path, golden: Callable[..., None]) -> None:
    with held(finished):
        ended = train("name=x", "resume=auto", "epochs=3")
    assert ended.code == 5
    golden("row09_in_use", ended.err, r"(?<=process )\d+ on \S+(?=\. )")
    assert train("name=x", "resume=auto", "epochs=3").code == 0


@pytest.mark.row(9)
def test_a_child_of_a_killed_run_does_not_hold_its_folder(train: Command, finished: Path) -> None:
    with held(finished, and_then="import time\nif not os.fork():\n    time.sleep(30)\n") as run:
        run.kill()
        run.wait()
        assert train("name=x", "resume=auto", "epochs=3").code == 0


@contextmanager
def held(folder: Path, and_then: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds a run's folder as long as it lasts."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom trainer.records.folder import RunFolder\n"
        f"with RunFolder(Path({str(folder)!r})).locked():\n"
        + "".join(f"    {line}\n" for line in and_then.splitlines())
        + "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()
