"""One run of a sweep, as Hydra launches it: in this process, or pickled and in another, on any machine."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trainer.config import Config
from trainer.errors import PrunedError, StoppedError, TrainerError, visible
from trainer.records.ending import ending
from trainer.records.folder import RunFolder, write_json
from trainer.sweep.pruning import reporter_of


@dataclass(frozen=True)
class Outcome:
    """What became of a run: what a launcher gives back, and a sweeper reads, as JobReturn.return_value."""

    folder: Path
    status: str
    """finished, pruned, failed or stopped, as in summary.json."""
    exit_code: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    """The scores of the best epoch, by name; none where no epoch was validated."""


@dataclass(frozen=True)
class SweepJob:
    """What Hydra calls for each run, with the config that it has composed. It can be pickled."""

    count: int
    """Runs of the sweep."""
    config_of: Callable[[DictConfig, Sequence[str]], Config]
    """The checked config that Hydra has composed of a job's words. Raises ConfigError."""
    as_typed: Callable[[str], str]
    """A word without what Hydra's grammar has made of it."""
    command: Sequence[str]
    """What the sweep was told, for the records of its runs."""

    def __call__(self, composed: DictConfig) -> Outcome:
        """Trains. What goes wrong is told and kept, for other runs are not to blame; a signal ends the sweep."""
        from trainer.commands import train

        job = HydraConfig.get()
        folder = RunFolder(Path(os.path.relpath(job.runtime.output_dir)))
        said = [self.as_typed(word) for word in job.overrides.task]
        run = f"run {job.job.num + 1} of {self.count}"
        print(f"{run}, in {folder.path}: {' '.join(said)}", flush=True)
        try:
            config = self.config_of(composed, job.overrides.task)
            train.run_in(folder, config, said, words=self.command, after_epoch=reporter_of(job, config))
        except PrunedError as error:
            print(f"{run}: {error}")
            return _ended(folder, error, said)
        except StoppedError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)  # Hydra would take an error for this job's own, and start the next
        except Exception as error:  # also a plugin's own, or no memory left
            if not isinstance(error, TrainerError):
                traceback.print_exc()
            print(visible(f"{run} failed: {error}", keep="\n"), file=sys.stderr)
            return _ended(folder, error, said)
        return Outcome(folder.path, "finished", best=folder.read_summary().get("best") or {})


def _ended(folder: RunFolder, error: Exception, said: Sequence[str]) -> Outcome:
    """Notes how it ended where the run did not come to note it itself. A run that had finished stays finished."""
    folder.path.mkdir(parents=True, exist_ok=True)
    how = ending(error)
    if folder.read_summary().get("status") not in ("finished", "pruned"):
        write_json(folder.summary, {**how, "overrides": said})
    return Outcome(folder.path, how["status"], how["exit_code"])
