"""Weights & Biases: a run in a project, online where its own environment has a key, else kept in the run's folder."""

import os
import shlex
from collections.abc import Mapping
from importlib import import_module

from trainer.track.tracker import PROJECT, Outcome, Tracked


class WandB:
    """A run in W&B, which takes steps in order alone: what it has stays, and is not told again.

    Offline nobody knows what it has, and a run that goes on lies there once more, whole.
    """

    def __init__(self, run: Tracked) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its makers' crash reports
        os.environ.setdefault("WANDB_SILENT", "true")
        self._wandb = wandb = import_module("wandb")
        is_known = "WANDB_MODE" in os.environ or wandb.login(prompt=False, verify=False)
        self._run = wandb.init(
            project=run.project or os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run.id,
            name=run.name,
            group=run.group.name if run.group else None,
            config=dict(run.config),
            dir=str(run.folder),
            mode=None if is_known else "offline",
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",  # what the run prints lies in train.log
                finish_timeout=60.0,
                host="",  # nothing is told of the machine
                disable_git=True,
                disable_code=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        where = self._run.settings.sync_dir
        self.look = f"wandb sync {shlex.quote(where)}" if self._run.offline else str(self._run.url)
        self._next = self._run.step

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self._next:
            self._run.log(dict(values), step=step)
            self._next = step  # of the same step there may be more: an epoch ends with a step

    def end(self, outcome: Outcome) -> None:
        wandb = self._wandb
        shown = {picture.name: wandb.Image(picture.image, caption=picture.caption) for picture in outcome.pictures}
        if outcome.page:
            shown["report"] = wandb.Html(str(outcome.page), inject=False)
        if shown:
            self._run.log(shown)
        self._run.summary.update(dict(outcome.scores))
        if outcome.weights:
            self._run.log_artifact(str(outcome.weights), name=f"best-{self._run.id}", type="model")
        self._run.finish(0 if outcome.status in ("finished", "pruned") else 1)


begin = WandB
