"""Many runs from one command: Hydra makes the jobs and launches them, each is caught when it fails, a table closes."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trainer.config import HARMLESS_ON_RESUME, Config, conf_folder
from trainer.errors import ConfigError, OutputError, StoppedError, TrainerError, visible
from trainer.records.ending import ending
from trainer.records.folder import RunFolder, new_folder, read_json, write_json
from trainer.sweep.combinations import combining
from trainer.sweep.page import print_page
from trainer.sweep.table import print_table

_QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled", "hydra.output_subdir=null")
_SWEEP = "sweep.json"


def hand_to_hydra(words: Sequence[str], job: Callable[[DictConfig], None] = lambda _: None) -> None:
    """Hydra does the rest: --cfg, --info, shell completion, and the launching of the jobs of a multirun."""
    before = sys.argv
    sys.argv = ["trainer", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()
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
    words_in: Callable[[Path], list[str]]
    """All that Hydra is told, by the folder of the multirun."""
    config_of: Callable[[DictConfig, Sequence[str]], Config]
    """The checked config that Hydra has composed of a job's words. Raises ConfigError."""
    as_typed: Callable[[str], str]
    """A word without what Hydra's grammar has made of it."""


def run_many(jobs: Jobs) -> int:
    """Runs every job of the sweep, then prints the ranked table. 0 if all jobs went well, else 1."""
    settings = jobs.first.settings
    if settings.resume not in (None, "auto"):
        raise ConfigError("resume: a multirun goes on with all its runs: say name=NAME resume=auto.")
    if settings.resume == "auto" and settings.name is None:
        raise ConfigError("resume: auto wants the name of the multirun to go on with: name=NAME.")
    output = Path(settings.output).expanduser() / "multirun"
    folder = _claim(output, jobs)
    failed: list[str] = []

    def job(composed: DictConfig) -> None:
        run = f"run {HydraConfig.get().job.num + 1} of {jobs.count}"
        if not _run_job(composed, run, jobs):
            failed.append(run)

    with combining():
        hand_to_hydra([*jobs.words_in(folder), *_QUIET, "hydra.sweep.subdir=${hydra.job.num}"], job)
    print_table(folder, jobs.first.monitor)
    if settings.report:
        print_page(folder, jobs.first.monitor)
    if not failed:
        return 0
    print(
        f"{len(failed)} of {jobs.count} runs failed. To run these alone again, say the same with "
        f"name={folder.relative_to(output)} resume=auto.",
        file=sys.stderr,
    )
    return TrainerError.exit_code


def _claim(output: Path, jobs: Jobs) -> Path:
    """The folder of the multirun, with the words that began it: it goes on with the same, or not at all."""
    settings = jobs.first.settings
    folder = output / settings.name if settings.name else new_folder(output, None).path
    stored = read_json(folder / _SWEEP).get("overrides")
    if stored is not None and settings.resume is None:
        raise OutputError(f"{folder} already holds a multirun. Go on with it by resume=auto, or choose another name.")
    said = sorted(word for word in jobs.typed if word.partition("=")[0].lstrip("+") not in HARMLESS_ON_RESUME)
    if stored is not None and [*map(jobs.as_typed, stored)] != [*map(jobs.as_typed, said)]:
        raise ConfigError(f"{folder} was begun with other words: {' '.join(stored)}. Say the same, or another name.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _SWEEP, {"overrides": said})
    return folder


def _run_job(composed: DictConfig, run: str, jobs: Jobs) -> bool:
    """One run of the sweep; whether it went well. What goes wrong is told and kept, and the next run starts."""
    from trainer.commands import train

    job = HydraConfig.get()
    folder = RunFolder(Path(os.path.relpath(job.runtime.output_dir)))
    said = [jobs.as_typed(word) for word in job.overrides.task]
    print(f"{run}, in {folder.path}: {' '.join(said)}", flush=True)
    try:
        train.run_in(folder, jobs.config_of(composed, job.overrides.task), said)
    except StoppedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)  # Hydra would take an error for this job's own, and start the next
    except Exception as error:  # also a plugin's own, or no memory left: the other jobs are not to blame
        if not isinstance(error, TrainerError):
            traceback.print_exc()
        print(visible(f"{run} failed: {error}", keep="\n"), file=sys.stderr)
        folder.path.mkdir(parents=True, exist_ok=True)
        if folder.read_summary().get("status") != "finished":
            write_json(folder.summary, {**ending(error), "overrides": said})
        return False
    return True
