"""Trackers: what they hold is what the run folder holds, and what befalls them is not the run's."""

import json
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from shared import Ended

from trainer.cli.main import training_config
from trainer.records.folder import MULTIRUN, RunFolder
from trainer.report.page.pictures import Mistake, Pictures, write_pictures
from trainer.track import tensorboard, tracking
from trainer.track.told import said
from trainer.track.tracker import Outcome, Tracked
from trainer.track.tracking import tracked

_PIXEL = "data:image/webp;base64,UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAgA0JaQAA3AA/vuUAAA="
_Series = dict[str, dict[int, float]]
"""By name, and then by step."""


@pytest.fixture
def run(finished: Path) -> RunFolder:
    """A finished run, the job of a multirun, with a picture on its page."""
    (finished.parent / MULTIRUN).write_text('{"overrides": [], "id": "abc"}')
    folder = RunFolder(finished)
    write_pictures(folder.pictures, Pictures(mistakes=(Mistake("a.png", "cat", "dog", 0.9, _PIXEL),)))
    folder.report.write_text("<html>page</html>")
    return folder


@pytest.fixture
def told(run: RunFolder) -> Callable[..., list[str]]:
    """Tells a tracker of the run once more, and of lines that it then writes. Gives what was said."""

    def tell(*words: str, lines: tuple[dict[str, Any], ...] = ()) -> list[str]:
        lines_said: list[str] = []
        config = training_config([f"output={run.path.parent.parent}", *words])
        with tracked(run, config, lines_said.append) as listener:
            for line in lines:
                listener(line)
        return lines_said

    return tell


@pytest.fixture
def written(run: RunFolder) -> _Series:
    """Some of the numbers in metrics.jsonl, as trackers are to have them."""
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return {
        f"{kind}/{name}": {line["step"]: pytest.approx(line[name]) for line in lines if line["kind"] == kind}
        for kind, name in (("step", "loss"), ("step", "lr"), ("epoch", "val_loss"), ("epoch", "val_accuracy"))
    }


def _of(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def _cut_to_the_first_epoch(run: RunFolder) -> tuple[dict[str, Any], ...]:
    """Takes the second epoch out of metrics.jsonl, as a run that goes on from there does. Gives its lines."""
    lines = _of(run)
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines if line["epoch"] == 1))
    return tuple(line for line in lines if line["epoch"] == 2)


def _in_event_files(run: RunFolder) -> tuple[_Series, list[str], Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    series = {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert all(len(dict(each)) == len(each) for each in series.values())
    return {name: dict(each) for name, each in series.items()}, events.Tags()["images"], events


def test_tensorboard_holds_what_the_run_folder_holds(
    run: RunFolder, told: Callable[..., list[str]], written: _Series
) -> None:
    assert told("track=tensorboard") == [f"tensorboard: tensorboard --logdir {run.path.parent}"]
    series, images, events = _in_event_files(run)
    assert {name: series[name] for name in written} == written
    assert {"curves", "mistakes/1"} <= {*images}
    hyperparameters = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"optim.lr" in hyperparameters and "best/val_loss" in series


def test_tensorboard_shows_each_step_once_when_a_run_has_gone_on(
    run: RunFolder, told: Callable[..., list[str]], written: _Series
) -> None:
    told("track=tensorboard")
    later = _cut_to_the_first_epoch(run)
    told("track=tensorboard", lines=later)
    series = _in_event_files(run)[0]
    assert {name: series[name] for name in written} == written


def test_tensorboard_shows_each_step_once_when_a_run_has_gone_back(
    run: RunFolder, told: Callable[..., list[str]], written: _Series
) -> None:
    told("track=tensorboard", lines=tuple(line for line in _of(run) if line["epoch"] == 2))
    series = _in_event_files(run)[0]
    assert {name: series[name] for name in written} == written


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_holds_what_the_run_folder_holds_and_goes_on_with_it(
    run: RunFolder, told: Callable[..., list[str]], written: _Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told("track=mlflow", "track_project=leaves", "track_weights=true")
    store = f"sqlite:///{run.path.parent.parent}/mlflow.db"
    later = _cut_to_the_first_epoch(run)
    (end,) = told("track=mlflow", "track_project=leaves", "track_weights=true", lines=later)
    assert end == f"mlflow: mlflow ui --backend-store-uri {store}"

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("leaves")
    assert experiment is not None
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    job, group = runs.pop("outputs/x"), runs.pop("outputs")
    assert not runs and job.data.tags["mlflow.parentRunId"] == group.info.run_id and job.info.status == "FINISHED"
    histories = {name: client.get_metric_history(job.info.run_id, name) for name in written}
    assert {name: [(each.step, each.value) for each in history] for name, history in histories.items()} == {
        name: [*steps.items()] for name, steps in written.items()
    }
    assert job.data.params["optim.lr"] == "0.003"
    files = {each.path for each in client.list_artifacts(job.info.run_id)}
    assert files == {"best.pt", "report.html", "pictures"}


@pytest.mark.slow
def test_wandb_keeps_offline_what_the_run_folder_holds(
    run: RunFolder, told: Callable[..., list[str]], written: _Series, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    (end,) = told("track=wandb", "track_weights=true")
    import_module("wandb").teardown()  # the process that writes its file has ended
    folder = Path(end.removeprefix("wandb: wandb sync "))
    assert folder.parent == run.path / "wandb"
    series: dict[str, dict[int, float]] = {}
    for record in _wandb_records(next(folder.glob("*.wandb"))):
        if record.run.run_id:
            about = record.run
        values = {"/".join(each.nested_key) or each.key: json.loads(each.value_json) for each in record.history.item}
        for name, value in values.items():
            series.setdefault(name, {})[values["_step"]] = value
    assert {name: series[name] for name in written} == written
    assert about.run_group == "outputs" and about.project == "trainer" and not about.host
    assert "mistakes/1/path" in series and "report/path" in series


def _wandb_records(path: Path) -> Iterator[Any]:
    """The records of a W&B file, which lie in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place < len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_trackio_holds_what_the_run_folder_holds_and_goes_on_with_it(
    run: RunFolder, told: Callable[..., list[str]], written: _Series, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    told("track=trackio")
    later = _cut_to_the_first_epoch(run)
    told("track=trackio", lines=later)
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs("trainer")
    lines = SQLiteStorage.get_logs("trainer", name)
    series = {key: [(line["step"], line[key]) for line in lines if key in line] for key in written}
    assert series == {key: [*steps.items()] for key, steps in written.items()}


class _Raises:
    """A tracker that raises when it begins, is told a line, or is told the end."""

    look = ""

    def __init__(self, at: str) -> None:
        self.at = at
        self.reach("begin")

    def reach(self, place: str) -> None:
        if place == self.at:
            raise OSError(28, "No space left on device")

    def log(self, step: int, values: object) -> None:
        self.reach("log")

    def end(self, outcome: object) -> None:
        self.reach("end")


@pytest.mark.parametrize("place", ["begin", "log", "end"])
def test_a_tracker_that_fails_costs_one_line(
    place: str, told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "begin", lambda _: _Raises(place))
    assert told("track=tensorboard") == [
        "track: tensorboard failed (OSError: [Errno 28] No space left on device) and is told no more. "
        "The run folder has all."
    ]


def test_a_tracker_that_fails_costs_the_run_nothing(
    train: Callable[..., Ended], unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "begin", lambda _: _Raises("log"))
    ended = train("track=tensorboard", "name=x")
    assert ended.code == 0 and ended.out.count("track:") == 1
    with_tracker = (tmp_path / "outputs" / "x" / "metrics.jsonl").read_text()
    assert _losses(with_tracker) == _losses((unbroken / "metrics.jsonl").read_text())


def _losses(metrics: str) -> list[float]:
    return [line[name] for line in map(json.loads, metrics.splitlines()) for name in line if "loss" in name]


def test_a_tracker_that_hangs_is_left_behind(told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr(_Raises, "end", lambda *_: held.wait())
    monkeypatch.setattr(tensorboard, "begin", lambda _: _Raises(""))
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.2)
    lines = told("track=tensorboard")
    held.set()
    assert lines == ["track: tensorboard failed (no answer in 0.2 s) and is told no more. The run folder has all."]


def test_a_damaged_file_costs_the_trackers_and_not_the_run(run: RunFolder, told: Callable[..., list[str]]) -> None:
    (run.path.parent / MULTIRUN).write_text("{")
    (line,) = told("track=tensorboard")
    assert line.startswith(f"track: no tracker is told: {run.path.parent / MULTIRUN} is missing or damaged.")


def test_what_tensorboard_has_no_place_for_is_told(train: Callable[..., Ended]) -> None:
    assert (
        "track_weights: TensorBoard's files have no place for it."
        in train("track=tensorboard", "track_weights=true").err
    )


def test_a_tracker_that_is_not_installed_is_told_before_the_run_begins(
    train: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()  # as it is left behind by a tracker
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    ended = train("track=mlflow")
    assert ended.code == 2 and ended.err == "track: mlflow is not installed: pip install 'trainer[mlflow]'\n"
    assert not (tmp_path / "outputs").exists()


def test_a_run_that_goes_on_from_another_folder_is_known_where_it_was(
    run: RunFolder, told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[Tracked] = []
    monkeypatch.setattr(tensorboard, "begin", lambda run: runs.append(run) or _Raises(""))
    told("track=tensorboard")
    told("track=tensorboard", f"output={tmp_path / 'other'}")
    assert runs[0] == replace(runs[1], config=runs[0].config) and runs[0].output == tmp_path


def test_a_misspelt_tracker_is_told_with_the_nearest(train: Callable[..., Ended]) -> None:
    assert "Did you mean 'tensorboard'?" in train("track=tensorbord").err


def test_secrets_of_a_config_are_not_told() -> None:
    config = {
        "data": {"token": "hf_x", "root": "https://me:p@w@host/set", "api_key": None},
        "seed": 3,
        "plugins": ["a"],
    }
    signed = said({"data": {"root": "https://host/{0..9}.tar?part=1&X-Amz-Signature=ab&sv=2"}})
    assert signed == {"data.root": "https://host/{0..9}.tar?part=1&(hidden)&sv=2"}
    assert said(config) == {
        "data.token": "(hidden)",
        "data.root": "https://(hidden)@host/set",
        "data.api_key": "null",
        "seed": 3,
        "plugins": '["a"]',
    }


@pytest.mark.parametrize(("root", "is_told"), [("/pictures", True), ("https://me:pw@host/pictures", False)])
def test_what_holds_a_config_with_secrets_is_not_told(
    root: str, is_told: bool, told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Outcome] = []
    monkeypatch.setattr(_Raises, "end", lambda _, outcome: ends.append(outcome))
    monkeypatch.setattr(tensorboard, "begin", lambda _: _Raises(""))
    told("track=[tensorboard]", "data=folder", f"data.root={root}")
    assert bool(ends[0].page) == is_told
