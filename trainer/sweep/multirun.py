"""Many runs from one command: Hydra makes the jobs and launches them, each is caught when it fails, a table closes."""

import secrets
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from trainer.config import HARMLESS_ON_RESUME, Config, conf_folder
from trainer.errors import ConfigError, OutputError, StoppedError, TrainerError, first_line
from trainer.records.folder import MULTIRUN, RunFolder, new_folder, read_json, write_json
from trainer.sweep.board import Board
from trainer.sweep.combinations import combining
from trainer.sweep.follow import followed
from trainer.sweep.job import Outcome, SweepJob
from trainer.sweep.launcher import Launcher, shared_threads, started
from trainer.sweep.options import HARMLESS, Search
from trainer.sweep.table import print_table


def hand_to_hydra(words: Sequence[str]) -> None:
    """Hydra does the rest: --cfg, --info, shell completion."""
    before = sys.argv
    sys.argv = ["trainer", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(lambda _: None)()
    finally:
        sys.argv = before


@dataclass(frozen=True)
class Jobs:
    """What the command line knows of the runs to come, and hands over."""

    typed: Sequence[str]
    """The key=value of all jobs, as typed."""
    count: int
    first: Config
    """The config of the first job."""
    launch: Callable[[Path, SweepJob], Iterable[Sequence[JobReturn]]]
    """Has Hydra run the job for each run, in folders within this one. What each gave back, batch by batch."""
    config_of: Callable[[DictConfig, Sequence[str]], Config]
    """The checked config that Hydra has composed of a job's words. Raises ConfigError."""
    as_typed: Callable[[str], str]
    """A word without what Hydra's grammar has made of it."""
    launcher: Launcher
    varied: Collection[str]
    """The keys that have several values."""
    search: Search | None = None
    """What chooses the values of the runs; None is every combination of them."""


def run_many(jobs: Jobs) -> int:
    """Runs every job of the sweep, then prints the ranked table. 0 if all jobs went well, else 1.

    A search goes well if it comes to its end with a best trial: those that failed are passed over.
    """
    settings = jobs.first.settings
    if settings.resume not in (None, "auto"):
        raise ConfigError("resume: a multirun goes on with all its runs: say name=NAME resume=auto.")
    if settings.resume == "auto" and settings.name is None:
        raise ConfigError("resume: auto wants the name of the multirun to go on with: name=NAME.")
    output = Path(settings.output).expanduser() / "multirun"
    if jobs.search is not None and jobs.search.storage is not None:
        from trainer.sweep.study import open_storage

        open_storage(jobs.search.storage)
    folder = _claim(output, jobs)
    way_on = f"say the same with name={folder.relative_to(output)} resume=auto."
    failed = [outcome for outcome in _launched(folder, jobs, way_on) if outcome.status != "finished"]
    print_table(folder, jobs.first.monitor)
    if settings.report:
        from trainer.sweep.page import print_page  # and torch, which a wrong word does not wait for

        print_page(folder, jobs.first.monitor)
    if jobs.search is not None:
        return _close(jobs.search, folder, jobs.first.monitor)
    if not failed:
        return 0
    print(f"{len(failed)} of {jobs.count} runs failed. To run these alone again, {way_on}", file=sys.stderr)
    return TrainerError.exit_code


def _launched(folder: Path, jobs: Jobs, way_on: str) -> list[Outcome]:
    """What became of the jobs. Raises StoppedError after a signal, and TrainerError for what hinders a launcher."""
    board, finished, launcher = Board(folder), _finished(folder), jobs.launcher
    known = (jobs.count, finished, launcher.is_here, jobs.first.monitor, jobs.varied, jobs.config_of, jobs.as_typed)
    job = SweepJob(*known, words=tuple(sys.argv[1:]))
    board.clear()
    if jobs.search is not None:
        from trainer.sweep.search import be_known_to_hydra

        be_known_to_hydra()
    if not launcher.is_here:
        print(f"{jobs.count} runs by {launcher.name}, in {folder}. What each says is in its train.log.", flush=True)
    told = nullcontext() if launcher.is_here else followed(board, jobs.count, finished)
    try:
        with combining(), shared_threads(launcher), started(launcher), told:
            batches = jobs.launch(folder, job)
    except SystemExit:
        print(f"To go on with the whole sweep, {way_on}", file=sys.stderr)
        raise
    except TrainerError:
        raise
    except Exception as error:  # of a plugin, or of what it runs on: a process was killed, a cluster is gone
        if not board.stopped:
            hindered = f"hydra/launcher={launcher.name}: {first_line(error)}"
            raise TrainerError(f"{hindered}\nTo go on, {way_on}") from error
    if number := board.stopped:
        by = signal.Signals(number).name
        raise StoppedError(f"Stopped by {by}; each run has saved what it had. To go on, {way_on}", number)
    board.remove()
    return [each.return_value for batch in batches for each in batch]


def _finished(folder: Path) -> frozenset[int]:
    """The numbers of the runs there that have come to their end, their search's verdict included."""
    runs = {int(path.name): RunFolder(path) for path in folder.iterdir() if path.name.isdecimal()}
    return frozenset(
        number for number, run in runs.items() if run.read_summary().get("status") in ("finished", "pruned")
    )


def _close(search: Search, folder: Path, monitor: str) -> int:
    """Says what the search came to. 0 if it came to its end, with a best trial, else 1."""
    from trainer.sweep.study import conclusion, failed_too_often, has_best, open_study

    study = open_study(search, folder, monitor)
    print(conclusion(study))
    failed = failed_too_often(study, search)
    if failed:
        print(
            f"More trials failed than hydra.sweeper.max_failure_rate={search.max_failure_rate} allows.", file=sys.stderr
        )
    return TrainerError.exit_code if failed or not has_best(study) else 0


def _claim(output: Path, jobs: Jobs) -> Path:
    """The folder of the multirun, with the words that began it: it goes on with the same, or not at all."""
    settings = jobs.first.settings
    folder = output / settings.name if settings.name else new_folder(output, None).path
    before = read_json(folder / MULTIRUN)
    stored = before.get("overrides")
    if stored is not None and settings.resume is None:
        raise OutputError(f"{folder} already holds a multirun. Go on with it by resume=auto, or choose another name.")
    said = sorted(word for word in jobs.typed if not _is_harmless(word.partition("=")[0].lstrip("+")))
    if stored is not None and [*map(jobs.as_typed, stored)] != [*map(jobs.as_typed, said)]:
        raise ConfigError(f"{folder} was begun with other words: {' '.join(stored)}. Say the same, or another name.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MULTIRUN, {"overrides": said, "id": before.get("id", secrets.token_hex(6))})
    return folder


def _is_harmless(key: str) -> bool:
    """Whether a sweep that goes on may be told another value: who runs the runs changes nothing in them."""
    return key in {*HARMLESS_ON_RESUME, *HARMLESS} or key.startswith(("hydra/launcher", "hydra.launcher."))
