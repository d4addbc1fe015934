"""TensorBoard: event files in the run's own folder."""

import shlex
from collections.abc import Mapping
from importlib import import_module

import numpy as np

from trainer.track.tracker import Outcome, Tracked


class TensorBoard:
    """A run's event files. They are written anew when a run goes on: what they held before is purged by their readers.

    Files it has no place for.
    """

    def __init__(self, run: Tracked) -> None:
        self._writer_at = import_module("torch.utils.tensorboard").SummaryWriter
        self._folder = str(run.folder / "tensorboard")
        self._config = run.config
        self._last: dict[str, int] = {}
        self._writer = self._writer_at(self._folder, purge_step=0)
        self.look = f"tensorboard --logdir {shlex.quote(str(run.group.folder if run.group else run.folder))}"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if any(self._last.get(name, -1) >= step for name in values):  # the run has gone back
            self._writer.close()
            self._writer = self._writer_at(self._folder, purge_step=step)
            self._last = {name: min(last, step - 1) for name, last in self._last.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
            self._last[name] = step
        self._writer.flush()

    def end(self, outcome: Outcome) -> None:
        for picture in outcome.pictures:
            self._writer.add_image(picture.name, np.array(picture.image), outcome.step, dataformats="HWC")
        # "." is this run's own folder: one of its own would be a second run to readers.
        self._writer.add_hparams(dict(self._config), dict(outcome.scores), run_name=".", global_step=outcome.step)
        self._writer.close()


begin = TensorBoard
