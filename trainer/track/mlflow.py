"""MLflow: a run in an experiment, in a file beside the runs or on the server that MLFLOW_TRACKING_URI names."""

import fcntl
import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer.track.tracker import PROJECT, Group, Outcome, Tracked

_TAG = "trainer.id"
"""By what a run that goes on is found."""
_PARENT = "mlflow.parentRunId"
_LONGEST = 6000
"""Characters of a parameter's value that MLflow takes."""
_METRICS, _PARAMETERS = 1000, 100
"""How many of them MLflow takes at once."""
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "pruned": "KILLED", "failed": "FAILED"}


class MLflow:
    """A run in MLflow, which can take nothing back: what it has stays, and is not told again."""

    def __init__(self, run: Tracked) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it tells its makers of its use, else
        client, entities = import_module("mlflow").MlflowClient, import_module("mlflow.entities")
        self._metric, self._parameter = entities.Metric, entities.Param
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells each table that it makes
        said, stored = os.environ.get("MLFLOW_TRACKING_URI"), f"sqlite:///{run.output / 'mlflow.db'}"
        self.look = f"at {said}" if said else f"mlflow ui --backend-store-uri {shlex.quote(stored)}"
        with _alone(run.output):
            self._client = client(tracking_uri=said or stored)
            project = run.project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
            self._experiment = self._experiment_named(project, None if said else run.output / "mlartifacts")
            self._id = self._run(run.name, run.id, {_PARENT: self._parent(run.group)} if run.group else {})
        self._client.update_run(self._id, status="RUNNING")
        self._tell_parameters(run.config)
        self._last = self._last_steps()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = round(1000 * time.time())
        new = {name: value for name, value in values.items() if step > self._last.get(name, -1)}
        for some in _parts([self._metric(name, value, now, step) for name, value in new.items()], _METRICS):
            self._client.log_batch(self._id, metrics=some)
        self._last |= dict.fromkeys(new, step)

    def end(self, outcome: Outcome) -> None:
        self.log(outcome.step, outcome.scores)
        for picture in outcome.pictures:
            self._client.log_image(self._id, picture.image, artifact_file=f"pictures/{picture.name}.png")
        for path in filter(None, (outcome.page, outcome.weights)):
            self._client.log_artifact(self._id, str(path))
        self._client.set_terminated(self._id, _STATUS[outcome.status])

    def _experiment_named(self, name: str, artifacts: Path | None) -> str:
        """Its id. artifacts: where its files lie; None is what the server says."""
        found = self._client.get_experiment_by_name(name)
        where = None if artifacts is None else artifacts.as_uri()
        return str(found.experiment_id) if found else str(self._client.create_experiment(name, where))

    def _run(self, name: str, mark: str, tags: Mapping[str, str]) -> str:
        """The id of the run with this mark, which is made where there is none."""
        found = self._client.search_runs([self._experiment], f"tags.`{_TAG}` = '{mark}'", max_results=1)
        made = (
            found[0] if found else self._client.create_run(self._experiment, tags={_TAG: mark, **tags}, run_name=name)
        )
        return str(made.info.run_id)

    def _parent(self, group: Group) -> str:
        """The run that the jobs of a multirun stand under. It holds nothing, and so is finished at once."""
        parent = self._run(group.name, group.id, {})
        self._client.set_terminated(parent)
        return parent

    def _tell_parameters(self, config: Mapping[str, Any]) -> None:
        """Those that MLflow has not: a value that it has stays what it was."""
        known = self._client.get_run(self._id).data.params
        new = [self._parameter(key, str(value)[:_LONGEST]) for key, value in config.items() if key not in known]
        for some in _parts(new, _PARAMETERS):
            self._client.log_batch(self._id, params=some)

    def _last_steps(self) -> dict[str, int]:
        """Up to which step MLflow has each of the run's numbers."""
        names = self._client.get_run(self._id).data.metrics
        return {name: max(each.step for each in self._client.get_metric_history(self._id, name)) for name in names}


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + most] for start in range(0, len(items), most))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While it lasts, no other run looks for what it then makes: an experiment, or the tables of a new file."""
    with (folder / "mlflow.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


begin = MLflow
