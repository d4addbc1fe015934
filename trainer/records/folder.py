"""The run folder: where a run may write, and the lock that keeps a second run out of it."""

import errno
import fcntl
import json
import math
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainer.config import Config, check
from trainer.errors import CheckpointError, OutputError, did_you_mean
from trainer.records.older import with_objective
from trainer.settings import Settings
from trainer.stored import renewed
from trainer.system import durable

MULTIRUN = "sweep.json"
"""What lies in the folder of a multirun: the words that began it."""


class _Dumper(yaml.SafeDumper):
    """YAML without references, and with quotes around text that any reader might take for less or more than that."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.Node:
        is_plain = text.isprintable() and text[:1].isalpha()
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _Dumper.text)


class RunFolder:
    """The files of one run. Nothing else of a run is on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.about = path / "run.json"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"
        self.checkpoints = path / "checkpoints"
        self.curves = path / "curves.png"
        self.report = path / "report.html"
        self.pictures = path / "pictures.json"
        self.log = path / "train.log"
        self.files = path / "files.json.gz"
        self.left_out = path / "left_out.txt"
        self.track = path / "track.json"

    @property
    def holds_a_run(self) -> bool:
        return self.config.exists() or any(self.checkpoints.glob("*.pt"))

    @property
    def multirun(self) -> Path | None:
        """The folder of the multirun that this run is a job of; None where it is none."""
        return self.path.parent if (self.path.parent / MULTIRUN).exists() else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out while it lasts. Raises OutputError if one is in.

        Half-written files of a run that was killed are removed. A folder in which the run has left nothing by then,
        since it could not begin, is removed too.
        """
        path = self.path / "run.lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        with file:
            _lock(file, self.path)
            self._tidy()
            try:
                yield
            finally:
                if list(self.path.iterdir()) == [path]:
                    path.unlink()
                    with suppress(OSError):  # not empty after all: it stays
                        self.path.rmdir()

    def _tidy(self) -> None:
        for path in (
            self.config,
            self.about,
            self.metrics,
            self.summary,
            self.files,
            self.left_out,
            self.report,
            self.pictures,
            self.track,
        ):
            path.with_name(path.name + durable.SUFFIX).unlink(missing_ok=True)
        for path in self.checkpoints.glob(f"*{durable.SUFFIX}"):
            path.unlink()

    def read_config(self) -> Config:
        """The config as the run stored it."""
        try:
            stored = OmegaConf.to_container(OmegaConf.load(self.config), resolve=True)
        except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
            raise _damaged(self.config) from error
        if not isinstance(stored, dict):
            raise _damaged(self.config)
        return check(renewed({str(key): value for key, value in stored.items()}))

    def stored_config(self) -> dict[str, Any]:
        """The config as it lies there, unchecked: of a run of an earlier release too."""
        try:
            stored = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise _damaged(self.config) from error
        return {str(key): value for key, value in stored.items()} if isinstance(stored, dict) else {}

    def read_about(self) -> dict[str, Any]:
        """What run.json tells. Raises CheckpointError if it is missing or damaged."""
        about = read_json(self.about)
        if "fingerprint" not in about:
            raise _damaged(self.about)
        return about

    def read_summary(self) -> dict[str, Any]:
        """How the run ended; nothing if it has not, or if the file is damaged: a run that goes on writes it anew."""
        try:
            summary = read_json(self.summary)
        except CheckpointError:
            return {}
        epochs = {key: with_objective(summary[key]) for key in ("best", "last") if isinstance(summary.get(key), dict)}
        return {**summary, **epochs}

    def write_config(self, config: Config) -> None:
        """Stores the whole config, such that it can be run again as it stands."""
        whole = {**config.plain(), "resume": None, "resume_allow": []}  # else it would go on, not again
        again = f"python -m trainer --config-path {shlex.quote(str(self.path))} name=again"
        comment = f"# The whole config of this run. To run it again: {again}\n"
        replace_text(self.config, comment + config_text(literal(whole)))


def config_text(data: Mapping[str, Any]) -> str:
    """A config as YAML, such that it is read as it was."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


def literal(data: Any) -> Any:
    """Plain data in which OmegaConf finds no ${…} to work out: such text is text by now."""
    if isinstance(data, dict):
        return {key: literal(each) for key, each in data.items()}
    if isinstance(data, list):
        return [literal(each) for each in data]
    if isinstance(data, str):
        return re.sub(r"(\\*)\$\{", lambda before: 2 * before[1] + r"\${", data)
    return data


def unliteral(data: Any) -> Any:
    """What literal() was given: the text of a stored config, in which nothing is to be worked out."""
    if isinstance(data, dict):
        return {key: unliteral(each) for key, each in data.items()}
    if isinstance(data, list):
        return [unliteral(each) for each in data]
    if isinstance(data, str):
        return re.sub(r"(\\+)\$\{", lambda before: before[1][: len(before[1]) // 2] + "${", data)
    return data


def new_folder(output: Path, name: str | None, now: Callable[[], datetime] = datetime.now) -> RunFolder:
    """A folder for a new run: output/name, or a dated one that no other run shares.

    Raises OutputError if it holds a run already, or cannot be written.
    """
    if name is None:
        return RunFolder(_dated(output, now()))
    folder = RunFolder(output / name)
    if folder.holds_a_run:
        raise OutputError(f"{folder.path} already holds a run. Go on with it by resume=auto, or choose another name.")
    _make(folder.path)
    return folder


def existing_folder(path: Path) -> RunFolder:
    """The folder of a run that is there. Raises CheckpointError, with the nearest name, if it is not."""
    folder = RunFolder(path)
    if not folder.holds_a_run:
        names = [each.name for each in path.parent.iterdir() if each.is_dir()] if path.parent.is_dir() else []
        named = Settings.output / path  # where a run of that name lies that was told no other output
        near = f" Did you mean '{named}'?" if RunFolder(named).holds_a_run else did_you_mean(path.name, names)
        raise CheckpointError(f"resume: {path} holds no run (no {folder.config.name}).{near}")
    return folder


def run_at(path: Path) -> tuple[RunFolder, str | None]:
    """What resume=PATH means: the folder of a run, or one checkpoint in it, then with the name of that file.

    Raises CheckpointError, with the nearest name, if neither is there.
    """
    if path.suffix != ".pt" or path.is_dir():
        return existing_folder(path), None
    folder = RunFolder(path.parent.parent)
    if path.parent == folder.checkpoints and folder.holds_a_run:
        return folder, path.name
    near = [
        str(each)
        for each in (*path.parent.glob("checkpoints/*.pt"), *path.parent.parent.parent.glob("*/checkpoints/*.pt"))
    ]
    raise CheckpointError(
        f"resume: {path} is no checkpoint in a run folder: that is FOLDER/{folder.checkpoints.name}/last.pt."
        f"{did_you_mean(str(path), near)}"
    )


def dated_path(output: Path, now: datetime) -> Path:
    """output/2026-11-21/23-50-51"""
    return output / now.strftime("%Y-%m-%d") / now.strftime("%H-%M-%S")


def replace_text(path: Path, text: str) -> None:
    """Writes a small file in one piece: readers see the old text or the new. Raises OutputError."""
    try:
        durable.replace(path, text.encode(errors="backslashreplace"))  # of names that are no UTF-8, as JSON has it
    except OSError as error:
        raise cannot_write(path, error) from error


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes plain data as readable JSON, in one piece. Raises OutputError."""
    replace_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The plain data in a JSON file; nothing if the file is not there. Raises CheckpointError if it is damaged."""
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(data, dict):
        raise _damaged(path)
    return data


def _lock(file: BinaryIO, folder: Path) -> None:
    try:
        # A record lock, not flock: loader workers would inherit that one, and outlive a killed run by seconds.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        owner = file.read().decode(errors="replace").strip() or "another run"
        raise OutputError(f"{folder} is in use by {owner}. Wait for it, or choose another name.") from None
    except OSError as error:  # a file system that knows no locks
        raise OutputError(
            f"{folder} cannot be locked: {error.strerror}. Nothing would keep two runs apart there: "
            f"choose a folder on another disk with output=FOLDER."
        ) from error
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}".encode())
    except OSError as error:
        raise cannot_write(folder, error) from error


def _dated(output: Path, now: datetime) -> Path:
    path, number = dated_path(output, now), 1
    _make(path.parent)
    while True:
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir()  # the one that makes it has it: two runs in the same second never share
            return candidate
        except FileExistsError:
            number += 1
        except OSError as error:
            raise cannot_write(candidate, error) from error


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is missing or damaged. Put back a copy, or train anew under another name.")


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error in words, with what to do about it."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "Make room and say the command again, or choose" if is_full else "Choose"
    return OutputError(f"{path} cannot be written: {error.strerror}. {advice} another folder with output=FOLDER.")
