"""Runs side by side, in processes of their own: the same bits, a line each, stopped and gone on with together."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor
from omegaconf import OmegaConf
from shared import Ended, fingerprint, lines_of

from trainer.cli import compose as composing
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.errors import ConfigError
from trainer.records.folder import RunFolder
from trainer.sweep import board, launcher
from trainer.sweep.launcher import Launcher, launcher_of, shared_threads

Train = Callable[..., Ended]
TWO = ("-m", "optim.lr=0.01,0.02", "epochs=1")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")

pytestmark = pytest.mark.timeout(300)  # processes that start, where others take the cores


@pytest.fixture(scope="module")
def workers() -> Iterator[None]:
    """Processes that joblib keeps from one sweep to the next, and that do not outlive this file."""
    yield
    get_reusable_executor().shutdown(wait=True)


def trained(folder: Path) -> list[object]:
    """What must be the same of each run, whoever ran it."""
    runs = [fingerprint(folder / number) for number in "01"]
    return [(run["state"], run["lines"]) for run in runs]


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("words", [JOBLIB, ("hydra/launcher=submitit_local",)])
def test_runs_side_by_side_come_to_the_same_bits_and_are_told_in_a_line_each(
    words: tuple[str, ...], train: Train, tmp_path: Path
) -> None:
    assert train(*TWO, "name=here").code == 0
    ended = train(*TWO, "name=there", *words)
    folder = tmp_path / "outputs" / "multirun"
    assert ended.code == 0, ended.err
    assert trained(folder / "there") == trained(folder / "here")
    told = sorted(line for line in ended.out.splitlines() if line.startswith("run "))
    assert [re.sub(r"after [\d.]+ s, val_accuracy [\d.]+, in \S+: ", "", line) for line in told] == [
        "run 1 of 2 finished optim.lr=0.01",
        "run 2 of 2 finished optim.lr=0.02",
    ]


def test_runs_on_a_ray_cluster_come_to_the_same_bits(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is None:
        pytest.skip("needs the extra ray")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "120000")  # a machine that others use too starts slowly
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    assert train(*TWO, "name=here").code == 0
    ended = train(*TWO, "name=there", "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2")
    folder = tmp_path / "outputs" / "multirun"
    assert ended.code == 0, ended.err
    assert trained(folder / "there") == trained(folder / "here")


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
def test_a_run_that_fails_elsewhere_stops_no_other(train: Train, tmp_path: Path) -> None:
    ended = train("-m", "name=x", "optim=sgd", "optim.lr=1e30,0.01", "epochs=1", *JOBLIB)
    runs = [RunFolder(tmp_path / "outputs" / "multirun" / "x" / number) for number in "01"]
    assert ended.code == 1
    assert [run.read_summary()["status"] for run in runs] == ["failed", "finished"]
    assert runs[0].read_summary()["findings"] and runs[0].read_summary()["steps"]  # not the mere ending
    assert re.search(r"^run 1 of 2: .* not finite", ended.err, re.MULTILINE)
    assert "1 of 2 runs failed. To run these alone again, say the same with name=x resume=auto." in ended.err


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
def test_a_signal_stops_all_runs_after_a_save_and_the_same_words_go_on(train: Train, tmp_path: Path) -> None:
    words = ("-m", "name=x", "optim.lr=0.01,0.02", "epochs=30", *JOBLIB)
    runs = [RunFolder(tmp_path / "outputs" / "multirun" / "x" / number) for number in "01"]
    over = threading.Event()

    def stop() -> None:
        while not all(run.metrics.exists() for run in runs) and not over.wait(0.02):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        stopped = train(*words)
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
    assert stopped.code == 128 + signal.SIGTERM
    assert [run.read_summary()["status"] for run in runs] == ["stopped"] * 2
    assert stopped.err.splitlines()[-1] == (
        "Stopped by SIGTERM; each run has saved what it had. To go on, say the same with name=x resume=auto."
    )
    assert train(*words, "resume=auto").code == 0
    for run in runs:
        assert [line["epoch"] for line in lines_of(run.metrics, "epoch")] == [*range(1, 31)]


@pytest.mark.slow
def test_the_time_left_for_the_sweep_follows_from_the_runs_that_were_trained_and_those_at_once(train: Train) -> None:
    ended = [board.Ended(number, "finished", seconds, "") for number, seconds in ((0, 0.1), (1, 20.0), (2, 40.0))]
    assert board.seconds_left(ended, 7, finished=[0, 6], at_once=1) == 30.0 * 3
    assert board.seconds_left(ended, 7, finished=[0, 6], at_once=2) == 30.0 * 3 / 2
    assert board.seconds_left(ended[:1], 7, finished=[0], at_once=1) is None
    first, second = re.findall(r"^run \d.*", train(*TWO).out, re.MULTILINE)
    assert "left for the sweep" not in first
    assert re.fullmatch(r"run 2 of 2, in \S+/1, about [\d.]+ s left for the sweep: .* optim\.lr=0\.02", second)


def test_processes_that_a_launcher_starts_at_once_have_their_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    for at_once, share in ((3, "2"), (9, "1"), (None, None)):
        with shared_threads(Launcher("submitit_local", at_once)):
            assert os.environ.get("OMP_NUM_THREADS") == share
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(
    ("sweeper", "at_once"), [({"n_jobs": 2, "seeds": 3}, 6), ({"max_batch_size": 4}, 4), ({"max_batch_size": None}, 9)]
)
def test_runs_that_are_begun_together_are_counted_with_their_seeds(sweeper: dict[str, int], at_once: int) -> None:
    node = {"launcher": {"_target_": launcher.LAUNCHERS["submitit_local"]}, "sweeper": sweeper}
    assert launcher_of(OmegaConf.create(node), 9).at_once == at_once


def test_two_commands_do_not_run_one_sweep(train: Train, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "multirun" / "s"
    folder.mkdir(parents=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    words = [sys.executable, "-c", hold, str(folder / "run.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        ended = train(*TWO, "name=s")
        other.kill()
    assert ended.code != 0 and ended.err.startswith(f"{folder} is in use by "), ended.err
    assert not (folder / "0").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["hydra/launcher=joblb"], "there is no launcher 'joblb'. Did you mean 'joblib'? There is basic, joblib, "),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_job=2"],
            "joblib has no such option. Did you mean 'n_jobs'?",
        ),
        (["hydra/launcher=joblib,basic"], "one launcher runs the whole sweep. Give one."),
        (["hydra/launcher=mine"], "hydra.launcher.setup.0: by this a cluster could be made to run commands"),
    ],
)
def test_a_launcher_that_is_not_there_or_would_run_what_a_config_names_is_refused(
    words: list[str], error: str, tmp_path: Path
) -> None:
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    mine = f"_target_: {launcher.LAUNCHERS['submitit_slurm']}\npartition: gpu\nsetup: [touch x]\n"
    (tmp_path / "hydra" / "launcher" / "mine.yaml").write_text(mine)
    origin = Origin(conf_folder(), besides=(tmp_path,))
    with pytest.raises(ConfigError, match=re.escape(error)):
        compose(words, origin, multirun=True)
    compose(["hydra/launcher=mine", "hydra.launcher.setup=[touch x]"], origin, multirun=True)


@pytest.mark.slow
def test_a_launcher_that_is_not_installed_is_told_with_its_extra(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "names_in", lambda *_: ["basic"])
    assert train("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1").err == (
        "hydra/launcher=joblib: its packages are not installed. Install them: pip install 'trainer[sweep]'. "
        "Without a launcher the runs go one after the other.\n"
    )
