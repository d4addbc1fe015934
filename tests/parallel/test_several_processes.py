"""One run by several processes through the command line: the same curves, one folder, one end."""

import os
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from packs import HERE, RUN, as_shards, drawn, numbered
from several import ended, environment, free_port, started, together
from shared import TINY, Ended, fingerprint, lines_of
from small_loop import CPU

from trainer.build import training
from trainer.build.data import open_source
from trainer.build.training import build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main, script
from trainer.config import Config, conf_folder
from trainer.data.source import Source
from trainer.errors import ConfigError, TrainerError
from trainer.parallel.group import joined
from trainer.parallel.place import Place
from trainer.parallel.ranks import Ranks

Train = Callable[..., Ended]
Several = Callable[..., list[Ended]]
Fault = Callable[[str], None]
SHARED = ("sync_batch_norm=true", "aug=strong", "aug.mixup=0.2", "aug.cutmix=1.0", "accumulate=2", "log_every=1")
"""With all that the processes have to do together."""

_OF_TORCH = re.compile(r"\[rank.*reducer.cpp.*\n")
"""Advice that torch keeps to itself where it is imported after the command line was read."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of these tests lie: some go on from what others have left."""
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def several(folder: Path) -> Several:
    """Trains a tiny run by several processes. faults: what TRAINER_FAULT says to each rank that has one."""

    def command(*words: str, size: int = 2, faults: dict[int, str] | None = None, tiny: bool = True) -> list[Ended]:
        def work(rank: int) -> None:
            os.environ["TRAINER_FAULT"] = (faults or {}).get(rank, "")
            sys.argv = ["trainer", *(TINY if tiny else ()), f"output={folder}", *words]
            script()

        with started(size, work, folder) as pids:
            codes = ended(pids)
        said = [[(folder / f"{rank}.{kind}").read_text() for kind in ("out", "err")] for rank in range(size)]
        return [Ended(code, out, _OF_TORCH.sub("", err)) for code, (out, err) in zip(codes, said, strict=True)]

    return command


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Has the one process of this test come to a fault."""
    return partial(monkeypatch.setenv, "TRAINER_FAULT")


@pytest.fixture(scope="module")
def two(several: Several, folder: Path) -> Path:
    """The folder of a run by two processes that nothing happened to: not to be changed."""
    first, other = several(*SHARED, "name=two")
    assert [first.code, first.err, *vars(other).values()] == [0, "", 0, "", ""]
    return folder / "two"


@pytest.fixture(scope="module")
def stopped(several: Several, folder: Path) -> tuple[Path, list[Ended]]:
    """The folder of one whose second process was sent a signal in step 1, and what all said: not to be changed."""
    ends = several(*SHARED, "name=stopped", faults={1: "term@step=1"})
    return folder / "stopped", ends


REFUSED = {
    "finetune=probe": "finetune: probe takes no steps that processes could share.",
    "budget=10min": "budget: it goes by the time of the steps of one process.",
    "parallel=fsdp optim=muon": "optim: 'muon' works on whole weights, of which parallel=fsdp leaves each process a",
    "parallel=fsdp on_nonfinite=rollback": "on_nonfinite: rollback cannot act with parallel=fsdp. Leave it out, or use",
    "-m seed=1,2": "-m: torchrun has started several processes, and this is for one. Say it without torchrun.",
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
    monkeypatch.setattr("time.sleep", sys.exit)  # as torchrun ends it, once the first has told it
    with pytest.raises(SystemExit):
        main(["evaluate", "outputs/x"])
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("as_one_of_two")
def test_a_process_that_nobody_ends_tells_its_own_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert main(["evaluate", "outputs/x"]) == 2 and "evaluate: torchrun has started" in capsys.readouterr().err


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_does_not_know_its_place_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["epochs=1"]) == 2 and capsys.readouterr().err.startswith("RANK and WORLD_SIZE in the environment say")


def test_half_of_what_torchrun_tells_a_process_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["device=cpu"]) == 2
    assert re.fullmatch("RANK and WORLD_SIZE in the environment say .* unset .*\n", capsys.readouterr().err)


def test_processes_of_a_machine_take_turns_to_look_for_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    class Turns(Ranks):
        @contextmanager
        def in_turn(self) -> Iterator[None]:
            turns.append("begins")
            yield
            turns.append("ends")

    def look(config: Config) -> Source:
        turns.append("looks")
        return open_source(config)

    monkeypatch.setattr(training, "open_source", look)
    build(compose([*TINY], Origin(conf_folder())), lambda *_: None, ranks=Turns())
    assert turns[:3] == ["begins", "looks", "ends"]


def test_a_batch_of_fewer_images_than_processes_is_refused() -> None:
    ranks = Ranks()
    ranks.place = Place(0, 3, 0, 3)
    config = compose([*TINY, "batch_size=2", "limit_train=10"], Origin(conf_folder()))
    with pytest.raises(ConfigError, match="it is of all processes together, and the smallest batch has 2 images for 3"):
        build(config, lambda *_: None, ranks=ranks)


def assert_same_curves(one: Path, other: Path) -> None:
    """Within a few roundings of a float32, which the order of sums decides: 2 ** -23 is 1.2e-7."""
    lines = [lines_of(run / "metrics.jsonl", "step", "epoch") for run in (one, other)]
    assert len(lines[0]) == len(lines[1])
    for alone, shared in zip(*lines, strict=True):
        for key in {"loss", "gradient_norm", "train_loss", "val_loss", "val_objective"} & alone.keys():
            assert shared[key] == pytest.approx(alone[key], rel=2e-6), key
        assert all(shared[key] == alone[key] for key in alone if key.endswith("accuracy"))


def test_two_processes_follow_the_curves_of_one(train: Train, two: Path, tmp_path: Path) -> None:
    assert train(*SHARED, "name=one").code == 0
    assert_same_curves(tmp_path / "outputs" / "one", two)


def test_processes_share_out_the_shards_of_a_stream_and_follow_the_curves_of_one(
    train: Train, several: Several, folder: Path, tmp_path: Path
) -> None:
    log, shards = tmp_path / "log", as_shards(tmp_path / "set", numbered(list(drawn(96))), each=6)
    words = ["data=webdataset", "data.streaming=true", "data.buffer=8", "data.interleave=4", "data.normalise=none"]
    words += [f"data.cache_dir={tmp_path}", "sync_batch_norm=true", "workers=0", *RUN, *HERE]
    root = f"data.root=pipe:echo rank $RANK >> {log}; cat {shards}/train-{{000..015}}.tar"
    assert train(*words, root, "name=one", tiny=False).code == 0
    alone = len(log.read_text().splitlines()) - 16  # it has looked through all of them before
    log.unlink()
    ends = several(*words, root, "name=streamed", tiny=False)
    assert [end.code for end in ends] == [0, 0], ends
    assert_same_curves(tmp_path / "outputs" / "one", folder / "streamed")
    opened = Counter(log.read_text().splitlines())
    assert opened.total() < 1.2 * alone and max(opened.values()) < 0.6 * alone


def test_a_signal_to_one_process_stops_all_after_the_same_step_with_one_save(
    stopped: tuple[Path, list[Ended]],
) -> None:
    run, (first, other) = stopped
    assert [first.code, *vars(other).values()] == [143, 143, "", ""]
    assert re.fullmatch(r"Stopped by SIGTERM after step 2; all is saved. Go on with: .* resume=.*\n", first.err)
    assert [path.name for path in (run / "checkpoints").iterdir()].count("last.pt") == 1


def test_a_run_that_goes_on_with_as_many_processes_has_the_bits_of_an_unbroken_one(
    several: Several, two: Path, stopped: tuple[Path, list[Ended]], folder: Path
) -> None:
    run = shutil.copytree(stopped[0], folder / "same")
    assert [(each.code, each.err) for each in several(f"resume={run}", "log_every=1")] == [(0, "")] * 2
    ours, theirs = fingerprint(run), fingerprint(two)
    assert ours["state"] == theirs["state"] and ours["lines"] == theirs["lines"]


def test_a_run_may_go_on_with_fewer_processes_and_with_more(
    train: Train, several: Several, two: Path, stopped: tuple[Path, list[Ended]], folder: Path, fault: Fault
) -> None:
    run = shutil.copytree(stopped[0], folder / "other")
    fault("term@step=4")
    assert train(f"resume={run}", "log_every=1", tiny=False).code == 143
    assert [(each.code, each.err) for each in several(f"resume={run}", "log_every=1")] == [(0, "")] * 2
    assert_same_curves(two, run)
    changes = [line["changed"] for line in lines_of(run / "metrics.jsonl", "event") if line["event"] == "resumed"]
    assert changes == [[f"the number of processes was {old}, and is {3 - old}"] for old in (2, 1)]


def test_a_killed_process_ends_the_others_with_a_line_that_names_it(several: Several) -> None:
    begun = time.monotonic()
    ends = several("name=killed", size=3, faults={1: "kill@step=1"})
    assert [each.code for each in ends] == [1, -signal.SIGKILL, 1] and time.monotonic() - begun < 60
    said = r"Process 1 of 3 has ended without a word \(pid .*intact\. Go on with .*killed\n"
    assert re.fullmatch(said, "".join(each.err for each in ends))


def test_the_end_of_the_process_that_keeps_the_store_is_told_as_well(tmp_path: Path) -> None:
    port = free_port()

    def work(rank: int) -> None:
        os.environ.update(MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="False")
        with (
            pytest.raises(TrainerError, match="Process 0 of 2 has ended without a word"),
            joined(Place(rank, 2, rank, 2), CPU) as ranks,
        ):
            ranks.mean(torch.zeros(1))
            if rank == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            ranks.mean(torch.zeros(1))

    with started(2, work, tmp_path) as pids:
        assert ended(pids) == [-signal.SIGKILL, 0]


def test_numbers_of_processes_are_looked_for_on_their_own_machine_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")  # of both machines, as of some containers

    def work(rank: int) -> None:
        with joined(Place(rank, 2, 0, 1), CPU) as ranks:
            ranks._peers[1 - rank] = ("localhost", 2**30)  # type: ignore[attr-defined]  # of no process here
            time.sleep(0.2 * (1 - rank))
            assert ranks.from_first(rank) == 0

    together(2, work, tmp_path)


def test_processes_that_a_signal_finds_diverged_go_back_together_before_they_stop(
    several: Several, folder: Path
) -> None:
    words = ("name=both", "on_nonfinite=rollback", "optim.lr=1e42", "epochs=1")
    first, other = several(*words, faults={0: "term@begin=0"})
    assert [first.code, other.code, other.err] == [143, 143, ""] and "Stopped by SIGTERM after step 0" in first.err
    assert [line["event"] for line in lines_of(folder / "both" / "metrics.jsonl", "event")] == ["rolled back"]


def test_processes_that_diverge_go_back_together_and_tell_it_once(several: Several, folder: Path) -> None:
    first, other = several("name=diverged", "on_nonfinite=rollback", "optim.lr=1e30", "epochs=1")
    assert [first.code, other.code, other.err] == [6, 6, ""] and "went back 3 times" in first.err
    events = [line["event"] for line in lines_of(folder / "diverged" / "metrics.jsonl", "event")]
    assert events == ["rolled back"] * 3 + ["failed"]


@pytest.mark.slow
def test_processes_that_share_out_the_model_go_on_from_the_same_files_and_leave_the_same(
    train: Train, several: Several, folder: Path, fault: Fault
) -> None:
    words = (*SHARED, f"output={folder}", "ema=0.9", "clip_norm=0.5", "optim=sgd", "optim.lr=0.1")
    assert train(*words, "name=one").code == 0
    fault("term@step=2")
    assert train(*words, "name=shards").code == 143
    ends = several(f"resume={folder / 'shards'}", "parallel=fsdp", "log_every=1", "report=true")
    assert [(each.code, each.err) for each in ends] == [(0, ""), (0, "")]
    assert_same_curves(folder / "one", folder / "shards")
    for name in ("last.pt", "best.pt"):
        ours, theirs = (folder / run / "checkpoints" / name for run in ("shards", "one"))
        assert_alike(torch.load(ours, weights_only=True), torch.load(theirs, weights_only=True))
    assert (folder / "shards" / "report.html").exists()


def assert_alike(saved: Any, other: Any) -> None:
    """The same keys, types and shapes, and tensors of nearly the same numbers."""
    assert type(saved) is type(other)
    if isinstance(saved, torch.Tensor):
        torch.testing.assert_close(saved, other, rtol=1e-4, atol=1e-5, equal_nan=True)
    elif isinstance(saved, dict):
        assert list(saved) == list(other)
        for key in saved.keys() - {"versions", "config"}:
            assert_alike(saved[key], other[key])
