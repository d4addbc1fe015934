"""The observer of a run: writes records and checkpoints, and shows what happens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
        with self._told():
            if is_best:
                self._checkpoints.save_best({**_selected(state), "score": state.best})
            self._checkpoints.save_last(state.state_dict())

    def keep(self, state: State, report: EpochReport) -> None:
        """The weights of this epoch under a name that sorts by epoch and holds what came out."""
        digits = len(str(self._pace.epochs))
        name = f"epoch{report.epoch:0{digits}}_loss{report.train.loss:.4f}_val{report.val.loss:.4f}.pt"
        with self._told():
            self._checkpoints.keep(name, _selected(state))

    def close(self) -> None:
        self._bar.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainerError(
                f"{self._checkpoints.folder}: the checkpoint cannot be written: {error.strerror}. "
                f"The one before is intact; make room, then go on with resume."
            ) from error

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun


def _selected(state: State) -> dict[str, Any]:
    """The weights that are validated and kept, and when they were."""
    return {"model": state.selected_model.state_dict(), "step": state.step, "epoch": state.epoch}
