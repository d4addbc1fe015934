"""Checkpoints that are either whole or not there, and that can carry nothing but tensors and plain Python."""

import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from trainer.errors import CheckpointError

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
_REMEMBERED = 3
"""Checksums kept for each file: of the new one, of the one before, and of one that a crash left in between."""


class Checkpoints:
    """The checkpoints of one run, in one folder, with a manifest that tells which bytes are to be trusted.

    A new file is written beside the old one, synced, entered in the manifest, and only then renamed over it. So at any
    moment the newest file whose checksum the manifest knows is a good checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_last(self, saved: dict[str, Any]) -> None:
        """Becomes last.pt; what was last.pt becomes previous.pt. Raises OSError with the old files intact."""
        self._save(LAST, saved)

    def save_best(self, saved: dict[str, Any]) -> None:
        """Becomes best.pt."""
        self._save(BEST, saved)

    def keep(self, name: str, saved: dict[str, Any]) -> None:
        """Becomes a file of that name, which stays."""
        self._save(name, saved)

    def load_last(self) -> dict[str, Any] | None:
        """The newest good checkpoint; None if none was ever written.

        Raises CheckpointError if there are checkpoints and none of them is good.
        """
        manifest = self._read_manifest()
        there = [name for name in (LAST, PREVIOUS) if (self.folder / name).exists()]
        good = [name for name in there if self._sha256(name) in manifest]
        if not good:
            if there:
                raise CheckpointError(
                    f"{self.folder}: no checkpoint is whole ({', '.join(there)} do not match {self._manifest.name}). "
                    f"Put back a copy, or train anew under another name."
                )
            return None
        newest = max(good, key=lambda name: int(manifest[self._sha256(name)]["step"]))
        return load(self.folder / newest)

    def damaged(self) -> list[str]:
        """The checkpoints to go on from that are there and are not what was written."""
        manifest = self._read_manifest()
        there = [name for name in (LAST, PREVIOUS) if (self.folder / name).exists()]
        return [name for name in there if self._sha256(name) not in manifest]

    def load_best(self) -> dict[str, Any]:
        """The checkpoint of the best epoch. Raises CheckpointError if it is missing or damaged."""
        path = self.folder / BEST
        if not path.exists() or self._sha256(BEST) not in self._read_manifest():
            raise CheckpointError(f"{path} is missing or damaged. Put back a copy, or train anew under another name.")
        return load(path)

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _save(self, name: str, saved: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(saved, buffer)  # to memory first: torch's own words for a full disk explain nothing
        data = buffer.getbuffer()
        checksum = hashlib.sha256(data).hexdigest()
        temporary = _write_durably(self.folder / f"{name}.tmp", data)
        entries = {**self._read_manifest(), checksum: {"file": name, "step": saved["step"]}}
        files = dict.fromkeys(entry["file"] for entry in entries.values())
        recent = [[key for key in entries if entries[key]["file"] == each][-_REMEMBERED:] for each in files]
        text = json.dumps({key: entries[key] for keys in recent for key in keys}, indent=1)
        _write_durably(self.folder / "manifest.tmp", text.encode()).replace(self._manifest)
        if name == LAST and (self.folder / LAST).exists():
            (self.folder / LAST).replace(self.folder / PREVIOUS)
        temporary.replace(self.folder / name)
        _sync_folder(self.folder)

    def _read_manifest(self) -> dict[str, Any]:
        """sha256 -> file and step. A manifest that is damaged vouches for nothing."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def _sha256(self, name: str) -> str:
        with (self.folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path) -> dict[str, Any]:
    """The plain data in a checkpoint file, on the CPU. Raises CheckpointError if the file holds anything else."""
    refusal = f"{path} is not a checkpoint of this program"
    try:
        if not zipfile.is_zipfile(path):  # as torch.save writes; it reads older kinds too, with warnings
            raise CheckpointError(f"{refusal}: it is empty, cut short, or something else altogether.")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{refusal}: {_first_sentence(error)}") from error
    if not isinstance(saved, dict):
        raise CheckpointError(f"{refusal}: it holds a {type(saved).__name__}.")
    return saved


def _first_sentence(error: Exception) -> str:
    """What torch says first, and for a forbidden pickle the global that it names."""
    text = " ".join(str(error).split())
    named = re.search(r"GLOBAL ([\w.]+)", text)
    return f"it would run {named[1]}, and is refused." if named else text.split(". ")[0]


def _write_durably(path: Path, data: bytes | memoryview) -> Path:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
