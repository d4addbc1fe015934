"""A trained run as its files tell it: from a run folder, from its best.pt alone, or from a folder that was exported."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load as unpacked
from torch import Tensor

from trainer.build.parts import build_part
from trainer.config import ROOMS, Config, check, nested
from trainer.engine.checkpoint import BEST, LAST, Checkpoints, load
from trainer.errors import CheckpointError, ConfigError, first_line
from trainer.feed.preprocessing import Preprocessing, read
from trainer.inference.place import PUBLISHED, check_place, is_published
from trainer.model.files import OURS
from trainer.records.folder import RunFolder, read_json, unliteral
from trainer.records.lines import read_metrics
from trainer.settings import Settings
from trainer.stored import renewed
from trainer.task.task import Task

TENSORS = "model.safetensors"
"""The weights in a folder that `export format=safetensors` has written, beside PUBLISHED, where ours is under OURS."""

_OLD_DEFAULTS = {"resize": "bilinear", "fit": "crop", "denoise": "none", "grey": False}
"""What was done to pictures by data parts without such options, for runs that did not store it."""


@dataclass(frozen=True)
class SavedRun:
    """All that turns a picture into an answer, and where it was found."""

    path: Path
    """As it was named: the run folder, or the weights' file."""
    folder: RunFolder | None
    """None where there is a weights' file alone."""
    stored: Mapping[str, Any]
    """The whole config as nested plain data, unchecked; plugins are those that the command line named."""
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    precision: str
    """fp32 | tf32 | bf16 | fp16: what the scores of its training were computed in."""
    weights: Mapping[str, Tensor]
    epoch: int
    sha256: str
    """Of the weights' file."""
    validation: Mapping[str, Any]
    """What the weights' file tells of their validation: `verdicts`, or in a folder that was exported `thresholds`."""

    @cached_property
    def task(self) -> Task:
        """What a label is. Raises ConfigError, as config does."""
        task: Task = build_part(self.config(["task"]), "task")
        return task

    def config(self, rooms: Sequence[str]) -> Config:
        """The checked config of these rooms alone. Raises ConfigError, which names the plugin that may be missing."""
        known = {*Settings.__dataclass_fields__, *ROOMS}
        try:
            return check({key: value for key, value in self.stored.items() if key in known}, rooms)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error


def read_run(path: Path, plugins: Sequence[str] = ()) -> SavedRun:
    """The run in a folder, in a best.pt, or in a folder that was exported.

    No code of it runs: only registered parts, and plugins that are named.
    Raises CheckpointError if there is none, it has not finished an epoch, or is damaged.
    """
    check_place(path)
    if is_published(path):
        return _published(path, plugins)
    if path.is_file():
        saved, folder = _alone(path), _folder_of(path)
        weights_file = path
    else:
        folder = RunFolder(path)
        saved, weights_file = _best_of(folder), folder.checkpoints / BEST
    stored = renewed(nested(saved.get("config", {})))
    if folder is not None and folder.config.exists():
        stored = renewed(unliteral(_plain_yaml(folder.config)))
    about = {} if folder is None else read_json(folder.about)
    stored["plugins"] = list(plugins)
    return SavedRun(
        path,
        folder,
        stored,
        tuple(saved.get("classes") or about.get("classes") or _refuse(path, "its class names")),
        _preprocessing(path, saved.get("preprocessing") or about.get("preprocessing"), stored),
        str(saved.get("precision") or about.get("precision") or "fp32"),
        saved.get("averaged") or saved["model"],  # a last.pt has both
        int(saved["epoch"]),
        hashlib.sha256(weights_file.read_bytes()).hexdigest(),
        {key: saved[key] for key in ("verdicts",) if key in saved},
    )


def _published(path: Path, plugins: Sequence[str]) -> SavedRun:
    """The run in a folder for the Hugging Face hub."""
    ours, file = read_json(path / PUBLISHED).get(OURS), path / TENSORS
    if not isinstance(ours, Mapping):
        raise CheckpointError(f"{path} was not exported by this program: its {PUBLISHED} has no '{OURS}'.")
    try:
        content = file.read_bytes()
        tensors = unpacked(content)
        return SavedRun(
            path,
            None,
            renewed({key: ours[key] for key in ("model", "loss", "channels_last", "task") if key in ours})
            | {"plugins": list(plugins)},
            tuple(map(str, ours["classes"])),
            _preprocessing(path, ours["preprocessing"], {}),
            str(ours["precision"]),
            {f"{ours['prefix']}{name}": tensor for name, tensor in tensors.items()},
            int(ours["epoch"]),
            hashlib.sha256(content).hexdigest(),
            {"thresholds": [float(ours["thresholds"][name]) for name in ours["classes"]]}
            if "thresholds" in ours
            else {},
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({first_line(error)}). Export the run again.") from error


def _folder_of(weights_file: Path) -> RunFolder | None:
    """The run folder that a weights' file lies in, if it does."""
    folder = RunFolder(weights_file.absolute().parent.parent)
    return folder if weights_file.absolute().parent == folder.checkpoints and folder.config.exists() else None


def _best_of(folder: RunFolder) -> dict[str, Any]:
    checkpoints, best = Checkpoints(folder.checkpoints), folder.checkpoints / BEST
    if checkpoints.has_best:
        return checkpoints.load_best()
    if not best.exists() and not any(line["kind"] == "epoch" for line in read_metrics(folder.metrics)):
        raise CheckpointError(
            f"{folder.path} has no {folder.checkpoints.name}/{BEST}: the run has not finished its first epoch. "
            f"Go on with it: python -m trainer resume={folder.path}"
        )
    what = "is damaged (it is not what was written)" if best.exists() else "is missing"
    last = folder.checkpoints / LAST
    is_whole = last.exists() and LAST not in checkpoints.damaged()
    way_on = f"name the weights of the last epoch, which are whole: {last}" if is_whole else "train anew"
    raise CheckpointError(f"{best} {what}. Put back a copy, or {way_on}")


def _alone(path: Path) -> dict[str, Any]:
    """What a weights' file holds, its own checksums verified, since no manifest vouches for it."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of this program, or is cut short: {error}.") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged (in {damaged}). Copy it again from where it came from.")
    saved = load(path)
    if not isinstance(saved.get("model"), Mapping) or not isinstance(saved.get("epoch"), int):
        raise CheckpointError(f"{path} holds no weights of a finished epoch. Name a run folder, or its best.pt.")
    return saved


def _plain_yaml(path: Path) -> dict[str, Any]:
    try:
        stored = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # whatever broken YAML leads its reader to
        raise CheckpointError(f"{path} is damaged. Put back a copy, or use checkpoints/{BEST} alone.") from error
    if not isinstance(stored, dict):
        raise CheckpointError(f"{path} is damaged. Put back a copy, or use checkpoints/{BEST} alone.")
    return {str(key): value for key, value in stored.items()}


def _preprocessing(path: Path, plain: Any, stored: Mapping[str, Any]) -> Preprocessing:
    """Its preprocessing; what runs of before did not store stands in their config."""
    if not isinstance(plain, Mapping):
        _refuse(path, "how its pictures were prepared")
    data = stored.get("data")
    options = {**_OLD_DEFAULTS, **(data if isinstance(data, Mapping) else {})}
    old = {key: options[key] for key in ("resize", "fit", "denoise")}
    try:
        return read({**old, **plain})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not tell how its pictures were prepared ({error}).") from error


def _refuse(path: Path, what: str) -> Any:
    raise CheckpointError(
        f"{path} does not tell {what}: it is older than this program. Name its run folder, which does."
    )
