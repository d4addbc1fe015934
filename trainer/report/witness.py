"""The observer of a run: writes records and checkpoints, and shows what happens."""

import time
from dataclasses import dataclass

from trainer.engine.checkpoint import Checkpoints
from trainer.engine.loop import EpochReport
from trainer.engine.metrics import Scores
from trainer.engine.state import State
from trainer.errors import TrainerError
from trainer.records.metrics import MetricsFile
from trainer.report.console import Screen
from trainer.report.sentences import epoch_line


@dataclass(frozen=True)
class Pace:
    """How long the run is, and where it starts."""

    epochs: int
    steps: int
    first_step: int
    images_per_step: int


class Witness:
    """Is told by the loop, and tells the files and the screen."""

    def __init__(self, pace: Pace, checkpoints: Checkpoints, metrics: MetricsFile, screen: Screen) -> None:
        self._pace = pace
        self._checkpoints = checkpoints
        self._metrics = metrics
        self._screen = screen
        self._begun = time.perf_counter()
        self._bar = screen.bar("training", pace.steps, pace.first_step)

    def step(self, state: State) -> None:
        images = (state.step - self._pace.first_step) * self._pace.images_per_step
        self._bar.move(state.step, speed=f"{images / self._seconds():,.0f} images/s")

    def logged(self, state: State, scores: Scores, lr: float) -> None:
        values = {"loss": scores.loss, "accuracy": scores.accuracy, "lr": lr}
        self._metrics.append("step", state.step, state.epoch + 1, seconds=self._seconds(), **values)
        self._bar.move(state.step, numbers=f"loss {scores.loss:.4f} accuracy {scores.accuracy:.2%} lr {lr:.2e}")

    def epoch(self, report: EpochReport) -> None:
        images_per_second = report.images / report.train_seconds
        self._metrics.append(
            "epoch",
            report.step,
            report.epoch,
            seconds=self._seconds(),
            train_loss=report.train.loss,
            train_accuracy=report.train.accuracy,
            val_loss=report.val.loss,
            val_accuracy=report.val.accuracy,
            lr=report.lr,
            best=report.is_best,
            train_seconds=report.train_seconds,
            val_seconds=report.val_seconds,
            images_per_second=images_per_second,
        )
        self._screen.say(epoch_line(report, self._pace.epochs, images_per_second))

    def save(self, state: State, *, is_best: bool) -> None:
        """Best first: a crash between the two repeats the epoch, and finds the same best again."""
        try:
            if is_best:
                counters = {"step": state.step, "epoch": state.epoch, "score": state.best}
                self._checkpoints.save_best({"model": state.selected_model.state_dict(), **counters})
            self._checkpoints.save_last(state.state_dict())
        except OSError as error:
            raise TrainerError(
                f"{self._checkpoints.folder}: the checkpoint cannot be written: {error.strerror}. "
                f"The one before is intact; make room, then go on with resume."
            ) from error

    def close(self) -> None:
        self._bar.close()

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun
