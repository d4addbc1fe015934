"""The observer of a run: writes records and checkpoints, and shows what happens."""

import shlex
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from trainer.engine.checkpoint import BEST, Checkpoints, SaveError
from trainer.engine.loop import EpochReport
from trainer.engine.metrics import Scores
from trainer.engine.probe import Probed
from trainer.engine.state import State
from trainer.records.kept import kept_name
from trainer.records.metrics import MetricsFile
from trainer.report.console import Screen
from trainer.report.sentences import epoch_line, probe_line
from trainer.task.task import Task, Verdicts

AfterEpoch = Callable[[EpochReport, int], None]
"""Who else is told each epoch, and of how many it is one. It ends the run by PrunedError."""
_TOLERATED = 2
"""Saves in a row that may fail before the run ends: room may be made meanwhile."""


def nothing(report: EpochReport, epochs: int) -> None:
    """What is done after an epoch where nobody else is told."""


@dataclass(frozen=True)
class Pace:
    """How long the run is, and where it starts."""

    epochs: int
    steps: int
    first_step: int
    images_per_step: float
    """On average: steps may differ by an image."""


class Witness:
    """Is told by the loop, and tells the files and the screen."""

    def __init__(
        self,
        pace: Pace,
        task: Task,
        checkpoints: Checkpoints,
        metrics: MetricsFile,
        screen: Screen,
        after_epoch: AfterEpoch,
    ) -> None:
        self._pace = pace
        self._task = task
        self._checkpoints = checkpoints
        self._metrics = metrics
        self._screen = screen
        self._after_epoch = after_epoch
        self._begun = time.perf_counter()
        self._bar = screen.bar("training", pace.steps, pace.first_step)
        self._failures = 0
        self._verdicts: Verdicts | None = None  # of the last validation
        self._saved_at = checkpoints.place_of_last()
        self._owed: dict[str, dict[str, Any]] = {}  # the weights to be written before the next last.pt, by file

    def step(self, state: State) -> None:
        images = (state.step - self._pace.first_step) * self._pace.images_per_step
        self._bar.move(state.step, speed=f"{images / self._seconds():,.0f} images/s")

    def probed(self, probed: Probed) -> None:
        fitted, images = probed.fitted, probed.features.views.shape[1]
        about = {"images": images, "l2": fitted.l2, "held_out_loss": fitted.held_out_loss}
        self._metrics.append("event", 0, 0, event="probed", seconds=self._seconds(), **about)
        self._screen.say(probe_line(probed))

    def logged(self, state: State, scores: Scores, lr: float) -> None:
        name = self._task.step_score
        values = {"loss": scores.loss, name: scores.score, "lr": lr, "gradient_norm": float(state.gradient_norm)}
        steps = self._pace.steps // self._pace.epochs
        about = {"steps_per_epoch": steps, "seconds": self._seconds()}
        self._metrics.append("step", state.step, state.epoch + 1, **about, **values)
        self._bar.move(state.step, numbers=f"loss {scores.loss:.4f} {name} {scores.score:.2%} lr {lr:.2e}")

    def epoch(self, report: EpochReport) -> None:
        images_per_second = report.images / report.train_seconds
        self._verdicts = report.val.verdicts
        self._metrics.append(
            "epoch",
            report.step,
            report.epoch,
            seconds=self._seconds(),
            train_loss=report.train.loss,
            **{f"train_{self._task.step_score}": report.train.score},
            val_loss=report.val.loss,
            val_objective=report.val.objective,
            **{f"val_{self._task.score}": report.val.score},
            lr=report.lr,
            best=report.is_best,
            train_seconds=report.train_seconds,
            val_seconds=report.val_seconds,
            images_per_second=images_per_second,
            vitals=report.vitals.plain(),
        )
        self._screen.say(epoch_line(report, self._task, self._pace.epochs, images_per_second))
        self._after_epoch(report, self._pace.epochs)

    def save(self, state: State, *, is_best: bool) -> None:
        """Saves the state, or tells that the disk does not take it. Raises SaveError the third time in a row."""
        if is_best:
            verdicts = {} if self._verdicts is None else {"verdicts": self._verdicts.plain()}
            self._owed[BEST] = {**state.selected(), "score": state.best, **verdicts}
        saved = state.state_dict()  # first: other ranks may take part, and know nothing of what the disk takes
        try:
            self._metrics.sync()  # no checkpoint is ahead of its records
            for name in list(self._owed):  # first: a crash here repeats the epoch, and writes the same again
                self._checkpoints.keep(name, self._owed[name])
                del self._owed[name]
            self._checkpoints.save_last(saved)
            self._failures, self._saved_at = 0, (state.step, state.epoch)
        except SaveError as error:
            self._failed(error, state)
        finally:
            self._owed = deepcopy(self._owed)  # its weights change in the next step

    def save_what_is_not_saved(self, state: State) -> None:
        """Saves the state unless it is saved as it stands, at the end of the run. Raises SaveError at once."""
        if self._saved_at != (state.step, state.epoch):
            self._failures = _TOLERATED
            self.save(state, is_best=False)
        else:
            state.state_dict()  # for the other ranks, which do not know what lies on the disk

    def keep(self, state: State, report: EpochReport) -> None:
        """The weights of this epoch are written for good by the save that follows."""
        self._owed[kept_name(report, self._pace.epochs)] = state.selected()

    def close(self) -> None:
        self._bar.close()

    def _failed(self, error: SaveError, state: State) -> None:
        """Tells of a save that failed, in records and on the screen. Raises SaveError if it was one too many."""
        self._failures += 1
        self._metrics.append("event", state.step, state.epoch, event="save failed", message=str(error))
        if self._failures > _TOLERATED:
            run = shlex.quote(f"resume={self._checkpoints.folder.parent}")
            raise SaveError(
                f"{error}. Training stops after step {state.step}; what was saved before is intact. "
                f"Make room, then go on with: python -m trainer {run}"
            )
        self._screen.say(
            f"{error}. Training goes on, and the checkpoint before is intact. Make room before the next save: "
            f"the run stops when {_TOLERATED + 1} in a row have failed (this is number {self._failures})."
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun
