"""One run of a sweep, as Hydra launches it: in this process, or pickled and in another, on any machine."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trainer.config import Config
from trainer.errors import StoppedError, TrainerError, visible
from trainer.records.ending import ending
from trainer.records.folder import RunFolder, write_json
from trainer.sweep.apart import Command, apart
from trainer.sweep.board import Board, Ended, seconds_left
from trainer.sweep.follow import about


@dataclass(frozen=True)
class Outcome:
    """What became of a run: what a launcher gives back, and a sweeper reads, as JobReturn.return_value."""

    folder: Path
    status: str
    """finished, pruned, failed or stopped, as in summary.json."""
    exit_code: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    """The scores of the best epoch, by name; none where no epoch was validated."""
    message: str = ""
    """What was said where it did not finish."""


@dataclass(frozen=True)
class SweepJob:
    """What Hydra calls for each run, with the config that it has composed. It can be pickled."""

    count: int
    """Runs of the sweep."""
    finished: Collection[int]
    """Numbers of the runs that had finished before."""
    is_here: bool
    """Whether the process that launches is the one that runs."""
    monitor: str
    varied: Collection[str]
    """The keys that have several values in the sweep."""
    config_of: Callable[[DictConfig, Sequence[str]], Config]
    """The checked config that Hydra has composed of a job's words. Raises ConfigError."""
    as_typed: Callable[[str], str]
    """A word without what Hydra's grammar has made of it."""
    words: Sequence[str]
    """What the sweep was told, for the records of its runs."""
    command: Command = field(default_factory=Command)

    def __call__(self, composed: DictConfig) -> Outcome:
        """Trains. What goes wrong is told and kept, for other runs are not to blame; a signal ends the sweep."""
        path = Path(HydraConfig.get().runtime.output_dir)
        if self.is_here:
            return self._run(composed, path)
        with apart(Board(path.parent), self.command):
            return self._run(composed, path)

    def _run(self, composed: DictConfig, path: Path) -> Outcome:
        job, folder, board = HydraConfig.get(), RunFolder(Path(os.path.relpath(path))), Board(path.parent)
        number, said = job.job.num, [self.as_typed(word) for word in job.overrides.task]
        run = f"run {number + 1} of {self.count}"
        if not self.is_here and (board.stopped or self.command.is_gone):
            return Outcome(folder.path, "stopped", StoppedError("", board.stopped or 0).exit_code)
        board.begin(number)
        left = seconds_left(board.ended(), self.count, self.finished, at_once=1)
        print(f"{run}, in {folder.path}{about(left)}: {' '.join(said)}", flush=True)
        began = time.monotonic()
        outcome = self._trained(composed, folder, said)
        seconds = time.monotonic() - began
        score = outcome.best.get(self.monitor)
        told = "" if score is None else f"{self.monitor} {score:.4f}"
        own = " ".join(word for word in said if word.partition("=")[0] in self.varied)
        board.end(Ended(number, outcome.status, seconds, f"{folder.path}: {own}", told, outcome.message))
        if self.is_here:
            _tell(run, outcome)
        return outcome

    def _trained(self, composed: DictConfig, folder: RunFolder, said: list[str]) -> Outcome:
        from trainer.commands import train
        from trainer.sweep.pruning import reporter_of

        job = HydraConfig.get()
        try:
            config = self.config_of(composed, job.overrides.task)
            train.run_in(folder, config, said, words=self.words, after_epoch=reporter_of(job, config))
        except StoppedError as error:
            return Outcome(folder.path, "stopped", error.exit_code, message=str(error))
        except Exception as error:  # also a plugin's own, or no memory left
            if not isinstance(error, TrainerError):
                traceback.print_exc()
            return _ended(folder, error, said)
        return Outcome(folder.path, "finished", best=folder.read_summary().get("best") or {})


def _tell(run: str, outcome: Outcome) -> None:
    """Says what kept a run from its end. After a signal this ends the process."""
    if outcome.status == "stopped":
        print(outcome.message, file=sys.stderr)
        sys.exit(outcome.exit_code)  # Hydra would take an error for this job's own, and start the next
    if outcome.status == "failed":
        print(visible(f"{run} failed: {outcome.message}", keep="\n"), file=sys.stderr)
    elif outcome.message:
        print(f"{run}: {outcome.message}")


def _ended(folder: RunFolder, error: Exception, said: Sequence[str]) -> Outcome:
    """Notes how it ended where the run did not come to note it itself. A run that had finished stays finished."""
    folder.path.mkdir(parents=True, exist_ok=True)
    how, summary = ending(error), folder.read_summary()
    if summary.get("status") not in ("finished", "pruned") and not how.items() <= summary.items():
        write_json(folder.summary, {**how, "overrides": said})
    return Outcome(folder.path, how["status"], how["exit_code"], message=how["message"])
