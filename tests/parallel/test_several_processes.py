"""One run by several processes through the command line: the same curves, one folder, one end."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from several import ended, environment, started
from shared import TINY, Ended, fingerprint, lines_of

from trainer.cli.main import main, script

Train = Callable[..., Ended]
Several = Callable[..., list[Ended]]
SHARED = ("sync_batch_norm=true", "aug=strong", "aug.mixup=0.2", "aug.cutmix=1.0", "accumulate=2", "log_every=1")
"""With all that the processes have to do together."""

_OF_TORCH = re.compile(r"\[rank.*reducer.cpp.*\n")
"""Advice that torch keeps to itself where it is imported after the command line was read."""


@pytest.fixture
def several(tmp_path: Path) -> Several:
    """Trains a tiny run by several processes. faults: what TRAINER_FAULT says to each rank that has one."""

    def command(*words: str, size: int = 2, faults: dict[int, str] | None = None) -> list[Ended]:
        def work(rank: int) -> None:
            os.environ["TRAINER_FAULT"] = (faults or {}).get(rank, "")
            sys.argv = ["trainer", *TINY, f"output={tmp_path / 'outputs'}", *words]
            script()

        with started(size, work, tmp_path) as pids:
            codes = ended(pids)
        said = [[(tmp_path / f"{rank}.{kind}").read_text() for kind in ("out", "err")] for rank in range(size)]
        return [Ended(code, out, _OF_TORCH.sub("", err)) for code, (out, err) in zip(codes, said, strict=True)]

    return command


REFUSED = {
    "finetune=probe": "finetune: probe takes no steps that processes could share.",
    "budget=10min": "budget: it goes by the time of the steps of one process.",
    "-m seed=1,2": "-m: torchrun has started several processes, and this is for one. Leave it out.",
}


@pytest.fixture
def as_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchrun tells the first of two processes."""
    for key, value in {**environment(0, 2, 0), "TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(key, value)


@pytest.mark.usefixtures("as_one_of_two")
@pytest.mark.parametrize("words", REFUSED)
def test_what_one_process_alone_can_do_is_refused_before_several_begin(
    train: Train, finished: Path, words: str
) -> None:
    weights = f"model.weights={finished / 'checkpoints' / 'best.pt'}"
    done = train(*words.split(), *([weights] if "probe" in words else []))
    assert done.code == 2 and done.err.startswith(REFUSED[words]) and done.err.count("\n") == 1


@pytest.mark.usefixtures("as_one_of_two")
def test_only_the_first_process_tells_what_all_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "outputs/x"]) == 2 and "evaluate: torchrun has started" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main(["evaluate", "outputs/x"]) == 2 and capsys.readouterr().err == ""


def test_a_batch_of_fewer_images_than_processes_is_refused_once(several: Several) -> None:
    first, *others = several("batch_size=2", "limit_train=10", size=3)
    assert [first.code, *(each.code for each in others)] == [2, 2, 2]
    said = "".join(each.err for each in (first, *others))
    assert said.startswith("batch_size: it is of all processes together, and the smallest batch has 2 images for 3")
    assert said.count("\n") == 1


def assert_same_curves(one: Path, other: Path) -> None:
    """Within a few roundings of a float32, which the order of sums decides: 2 ** -23 is 1.2e-7."""
    lines = [lines_of(run / "metrics.jsonl", "step", "epoch") for run in (one, other)]
    assert len(lines[0]) == len(lines[1])
    for alone, shared in zip(*lines, strict=True):
        for key in {"loss", "gradient_norm", "train_loss", "val_loss", "val_objective"} & alone.keys():
            assert shared[key] == pytest.approx(alone[key], rel=2e-6), key
        assert all(shared[key] == alone[key] for key in alone if key.endswith("accuracy"))


def test_two_processes_follow_the_curves_of_one_and_a_run_goes_on_with_more_or_fewer(
    train: Train, several: Several, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*SHARED, "name=one").code == 0
    first, other = several(*SHARED, "name=two")
    assert [first.code, first.err, *vars(other).values()] == [0, "", 0, "", ""]
    run, outputs = tmp_path / "outputs" / "two-one-two", tmp_path / "outputs"
    assert [each.code for each in several(*SHARED, f"name={run.name}", faults={0: "term@step=1"})] == [143, 143]
    monkeypatch.setenv("TRAINER_FAULT", "term@step=4")
    assert train(f"resume={run}", "log_every=1", tiny=False).code == 143
    assert [each.code for each in several(f"resume={run}", "log_every=1")] == [0, 0]
    for name in ("two", run.name):
        assert_same_curves(outputs / "one", outputs / name)
    changes = [line["changed"] for line in lines_of(run / "metrics.jsonl", "event") if line["event"] == "resumed"]
    assert changes == [[f"the number of processes was {old}, and is {3 - old}"] for old in (2, 1)]


def test_a_signal_to_one_process_stops_all_after_the_same_step_and_the_run_goes_on_to_the_same_bits(
    several: Several, tmp_path: Path
) -> None:
    several(*SHARED, "name=unbroken")
    first, other = several(*SHARED, "name=x", "save_every=1", faults={1: "term@step=4"})
    assert [first.code, *vars(other).values()] == [143, 143, "", ""]
    assert re.fullmatch(r"Stopped by SIGTERM after step 5; all is saved. Go on with: .* resume=.*x\n", first.err)
    assert [each.code for each in several(f"resume={tmp_path / 'outputs' / 'x'}", "log_every=1")] == [0, 0]
    unbroken, broken = (fingerprint(tmp_path / "outputs" / name) for name in ("unbroken", "x"))
    assert broken["state"] == unbroken["state"] and broken["lines"] == unbroken["lines"]


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_others_with_a_line_that_names_it(several: Several, killed: int) -> None:
    begun = time.monotonic()
    ends = several(*SHARED, "name=x", faults={killed: "kill@step=2"})
    assert ends[killed].code == -signal.SIGKILL and ends[1 - killed].code == 1 and time.monotonic() - begun < 60
    said = rf"Process {killed} of 2 has ended without a word \(pid .*intact\. Go on with .*x\n"
    assert re.fullmatch(said, ends[1 - killed].err)


def test_processes_that_diverge_go_back_together_and_tell_it_once(several: Several, tmp_path: Path) -> None:
    first, other = several("name=x", "on_nonfinite=rollback", "optim.lr=1e30", "epochs=1")
    assert [first.code, other.code, other.err] == [6, 6, ""] and "went back 3 times" in first.err
    events = [line["event"] for line in lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")]
    assert events == ["rolled back"] * 3 + ["failed"]
