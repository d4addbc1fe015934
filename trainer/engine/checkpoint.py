"""Checkpoints that are either whole or not there, and that can carry nothing but tensors and plain Python."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch

from trainer.errors import CheckpointError, TrainerError, did_you_mean
from trainer.system import durable, fault

FORMAT = 2
"""Of the data in a checkpoint. It rises when what an older program wrote is no longer what this one writes."""
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
_REMEMBERED = 3
"""Checksums kept for each file: of the new one, of the one before, and of one that a crash left in between."""


class SaveError(TrainerError):
    """A checkpoint could not be written. Those that were there are intact."""


class Checkpoints:
    """The checkpoints of one run, in one folder, with a manifest that tells which bytes are to be trusted.

    A new file is written beside the old one, synced, entered in the manifest, and only when that is on the disk too is
    the old one renamed and the new one put in its place. So at any moment last.pt, or else previous.pt, is a good one.
    An old one that is damaged is not renamed: it would drive out the good one before it.
    about: what every checkpoint tells of its run beside the state, and the manifest with it: classes, config, versions.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.about = dict(about or {})
        self._lying: dict[str, str] | None = None  # the checksums of the files, once they were looked at

    def save_last(self, saved: dict[str, Any]) -> None:
        """Becomes last.pt; what was last.pt becomes previous.pt. Raises SaveError with the old files intact."""
        self._save(LAST, saved)

    def keep(self, name: str, saved: dict[str, Any]) -> None:
        """Becomes best.pt, or another file of that name, which stays. Raises SaveError with an old one intact."""
        self._save(name, saved)

    def load_last(self) -> dict[str, Any] | None:
        """The newest good checkpoint; None if none was ever written.

        Raises CheckpointError if there were checkpoints and none of them is good.
        """
        good = self._good()
        if good:
            return load(self.folder / good[0])
        there = [name for name in (LAST, PREVIOUS) if (self.folder / name).exists()]
        if there:
            reason = f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} not what {self._manifest} lists"
        elif sum(entry["file"] == LAST for entry in self._listed().values()) > 1:  # one: killed in its first save
            reason = f"{LAST} and {PREVIOUS} are gone"
        else:
            return None
        raise CheckpointError(
            f"{self.folder}: no checkpoint is whole: {reason}. Put back a copy, or train anew under another name."
        )

    def load_exactly(self, name: str) -> dict[str, Any]:
        """The checkpoint in the file of that name, and no other in its place.

        Raises CheckpointError if it is missing or damaged, or is none that a run can go on from.
        """
        path = self.folder / name
        if not path.is_file():
            near = did_you_mean(name, [each.name for each in self.folder.glob("*.pt")])
            raise CheckpointError(f"resume: there is no file {path}.{near} Or go on with the newest: resume=FOLDER.")
        if name not in (LAST, PREVIOUS):
            raise CheckpointError(
                f"resume: {path} holds weights, and not all that a run goes on from: {LAST} and {PREVIOUS} do. "
                f"To start a new run from its weights: model.weights={path}"
            )
        if name not in self._good():
            raise CheckpointError(
                f"resume: {path} is damaged (it is not what {self._manifest.name} lists). "
                f"Put back a copy, or go on with the newest good one: resume={self.folder.parent}"
            )
        return load(path)

    def place_of_last(self) -> tuple[int, int] | None:
        """Step and epoch of last.pt, if it is what was written, by a run of this config."""
        entry = self._listed().get(self._sha256(LAST), {}) if (self.folder / LAST).exists() else {}
        return (entry["step"], entry["epoch"]) if entry.get("config_sha256") == self._config_sha256 else None

    def damaged(self) -> list[str]:
        """The checkpoints to go on from that are there and are not what was written."""
        listed, lying = self._listed(), self._look()
        return [name for name in (LAST, PREVIOUS) if name in lying and lying[name] not in listed]

    def begin_anew(self) -> None:
        """Forgets the checkpoints that were not yet in their place when the run was killed."""
        self._manifest.unlink(missing_ok=True)

    @property
    def has_best(self) -> bool:
        """Whether best.pt is there, and is what was written."""
        return (self.folder / BEST).exists() and self._sha256(BEST) in self._listed()

    def load_best(self) -> dict[str, Any]:
        """The checkpoint of the best epoch. Raises CheckpointError if it is missing or damaged."""
        path = self.folder / BEST
        if not self.has_best:
            raise CheckpointError(f"{path} is missing or damaged. Put back a copy, or train anew under another name.")
        return load(path)

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _good(self) -> list[str]:
        """The names of the checkpoints to go on from that are what was written, newest first."""
        listed, lying = self._listed(), self._look()
        return [name for name in (LAST, PREVIOUS) if lying.get(name) in listed]

    def _look(self) -> dict[str, str]:
        """The checksum of each file as it lies there. The saves that follow keep it up, and read no file again."""
        there = [name for name in (LAST, PREVIOUS, BEST) if (self.folder / name).exists()]
        self._lying = {name: self._sha256(name) for name in there}
        return self._lying

    def _save(self, name: str, saved: dict[str, Any]) -> None:
        step = saved["step"]
        fault.reach(f"{name}:begin", step)
        content = {"format": FORMAT, **self.about, **saved}
        sink = _Sink()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lying = self._look() if self._lying is None else self._lying
            temporary = durable.write_beside(self.folder / name, partial(sink.save, content))
            checksum = sink.sha256.hexdigest()
            fault.reach(f"{name}:written", step)
            entry = {"file": name, "step": step, "epoch": saved.get("epoch"), "config_sha256": self._config_sha256}
            listed = self._list(checksum, entry, lying)
            fault.reach(f"{name}:listed", step)
            if name == LAST and (self.folder / LAST).exists() and lying.get(LAST) in listed:
                (self.folder / LAST).replace(self.folder / PREVIOUS)
                lying[PREVIOUS] = lying.pop(LAST)
                fault.reach(f"{name}:between", step)
            temporary.replace(self.folder / name)
            lying[name] = checksum
            fault.reach(f"{name}:renamed", step)
            durable.sync_folder(self.folder)
        except OSError as error:
            (self.folder / (name + durable.SUFFIX)).unlink(missing_ok=True)
            needed, left = _megabytes(_size(content)), _megabytes(durable.free_bytes(self.folder))
            raise SaveError(
                f"{self.folder / name} cannot be written: {error.strerror} "
                f"(it needs {needed}, the disk has {left} left)"
            ) from error

    @property
    def _config_sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.about.get("config"), sort_keys=True).encode()).hexdigest()

    def _list(self, checksum: str, entry: dict[str, Any], lying: Mapping[str, str]) -> dict[str, Any]:
        """Enters a file in the manifest, and puts that on the disk; gives all that is listed now.

        Of each file the newest checksums are remembered, and those of the files that lie there in any case.
        """
        entries = {key: each for key, each in self._listed().items() if key != checksum}
        entries[checksum] = entry
        files = dict.fromkeys(each["file"] for each in entries.values())
        recent = [[key for key in entries if entries[key]["file"] == each][-_REMEMBERED:] for each in files]
        remembered = {*lying.values(), *(key for keys in recent for key in keys)}
        manifest: dict[str, Any] = {
            "format": FORMAT,
            **{key: self.about[key] for key in ("versions", "classes") if key in self.about},
            "sha256": {key: each for key, each in entries.items() if key in remembered},
        }
        durable.replace(self._manifest, json.dumps(manifest, indent=1).encode())
        return entries

    def _listed(self) -> dict[str, Any]:
        """sha256 -> file, step, epoch and config_sha256. A manifest that is damaged vouches for nothing."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
            listed = manifest["sha256"]
            return listed if all(isinstance(entry["file"], str) for entry in listed.values()) else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _sha256(self, name: str) -> str:
        with (self.folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _Sink:
    """What torch.save writes to: a file, with the checksum and the size of what went into it, and no copy in memory."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._file: BinaryIO
        self._error: OSError | None = None

    def save(self, content: dict[str, Any], file: BinaryIO) -> None:
        """Writes the content. Raises OSError if the file does not take it."""
        self._file = file
        try:
            torch.save(content, self)  # type: ignore[arg-type]  # of a file it wants no more than this
        except RuntimeError as error:
            raise self._error or error from None  # torch tells of a wrong position where the disk is full

    def write(self, data: memoryview) -> int:
        try:
            self._file.write(data)
        except OSError as error:
            self._error = self._error or error
            raise
        self.sha256.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def _size(content: dict[str, Any]) -> int:
    """The bytes that the content takes as a file."""
    sink = _Sink()
    with Path(os.devnull).open("wb") as nowhere:
        sink.save(content, nowhere)
    return sink.size


def load(path: Path) -> dict[str, Any]:
    """The plain data in a checkpoint file, on the CPU. Raises CheckpointError if the file holds anything else."""
    refusal = f"{path} is not a checkpoint of this program"
    try:
        if path.is_file() and not zipfile.is_zipfile(path):  # as torch.save writes; it reads older kinds too, and warns
            raise CheckpointError(f"{refusal}: it is empty, cut short, or something else altogether.")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # of a broken file torch, and zipfile, may raise almost anything
        raise CheckpointError(f"{refusal}: {_first_sentence(error)}") from error
    if not isinstance(saved, dict):
        raise CheckpointError(f"{refusal}: it holds a {type(saved).__name__}.")
    written = saved.get("format")
    if not isinstance(written, int):
        raise CheckpointError(f"{refusal}: it tells no format.")
    if written > FORMAT:
        raise CheckpointError(
            f"{path} was written by a newer version of this program (format {written}; this one reads up to {FORMAT}). "
            f"Update this program."
        )
    return saved


def _first_sentence(error: Exception) -> str:
    """What torch says first, and for a forbidden pickle the global that it names."""
    text = " ".join(str(error).split())
    named = re.search(r"GLOBAL ([\w.]+)", text)
    return f"it would run {named[1]}, and is refused. Put back a copy of your own." if named else text.split(". ")[0]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
