"""Many runs from one command: Hydra makes the jobs and launches them, each is caught when it fails, a table closes."""

import os
import sys
from datetime import datetime
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trainer.compose import plain
from trainer.config import Config, check, conf_folder
from trainer.errors import ConfigError, OutputError, StoppedError, TrainerError
from trainer.records.folder import RunFolder, dated_path, write_json
from trainer.records.summary import ending
from trainer.sweep.table import print_table

_QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled", "hydra.output_subdir=null")


def hand_to_hydra(words: list[str]) -> int:
    """Hydra does the rest: --help, --cfg, --info, shell completion, multirun."""
    before = sys.argv
    sys.argv = ["trainer", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(_job)()
    finally:
        sys.argv = before
    return 0


def run_many(words: list[str], first: Config) -> int:
    """Runs every job of the sweep, then prints the ranked table. 0 if all jobs went well, else 1."""
    settings = first.settings
    if settings.resume not in (None, "auto"):
        raise ConfigError("resume: a multirun goes on with all its runs: say name=NAME resume=auto.")
    if settings.resume == "auto" and settings.name is None:
        raise ConfigError("resume: auto wants the name of the multirun to go on with: name=NAME.")
    output = Path(settings.output) / "multirun"
    folder = output / settings.name if settings.name else dated_path(output, datetime.now())
    if settings.resume is None and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} already holds a multirun. Go on with it by resume=auto, or choose another name.")
    hand_to_hydra([*words, *_QUIET, f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir=${hydra.job.num}"])
    return print_table(folder, settings.monitor)


def _job(composed: DictConfig) -> None:
    """One run of the sweep. What goes wrong is written into its folder, and the next run starts."""
    from trainer.commands import train

    job = HydraConfig.get()
    folder, said = RunFolder(Path(os.path.relpath(job.runtime.output_dir))), list(job.overrides.task)
    print(f"run {job.job.num}: {' '.join(said)}")
    try:
        train.run_in(folder, check(plain(composed)), said)
    except StoppedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)  # Hydra would take an error for this job's own, and start the next
    except TrainerError as error:
        print(f"run {job.job.num} failed: {error}", file=sys.stderr)
        folder.path.mkdir(parents=True, exist_ok=True)
        if not folder.summary.exists():  # the run did not come so far as to write one
            write_json(folder.summary, {**ending(error), "overrides": said})
