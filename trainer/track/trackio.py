"""Trackio: a run in a project of its local store, or where its own environment says."""

import os
import shlex
from collections.abc import Mapping
from importlib import import_module

from trainer.track.tracker import PROJECT, Outcome, Tracked


class Trackio:
    """A run in Trackio, which can take nothing back: what it has stays, and is not told again."""

    def __init__(self, run: Tracked) -> None:
        self._trackio = import_module("trackio")
        project = run.project or os.environ.get("TRACKIO_PROJECT") or PROJECT
        self._run = self._trackio.init(
            project=project,
            name=f"{run.name.replace('/', '-')}-{run.id}",  # it knows a run by its name, which becomes a folder's
            group=run.group.name if run.group else None,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
        )
        self.look = f"trackio show --project {shlex.quote(project)}"
        self._next: int = self._run._next_step

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self._next:
            self._run.log(dict(values), step=step)
            self._next = step  # of the same step there may be more: an epoch ends with a step

    def end(self, outcome: Outcome) -> None:
        image = self._trackio.Image
        shown = {picture.name: image(picture.image, caption=picture.caption) for picture in outcome.pictures}
        self._run.log({**outcome.scores, **shown}, step=outcome.step)
        if outcome.weights:
            self._run.log_artifact(str(outcome.weights), name=f"best-{self._run.name}", type="model")
        self._run.finish()


begin = Trackio
