"""Finished measurements, kept in a file, so that a benchmark that was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Key = tuple[str, str, str, int]
"""Work, library, settings and round."""


class Kept:
    """Measurements of one state of the code; those of another are forgotten."""

    def __init__(self, file: Path, code: str) -> None:
        self.file = file
        self.code = code
        lines = file.read_text().splitlines() if file.exists() else []
        self.found: dict[Key, dict[str, Any]] = {}
        for line in map(json.loads, lines):
            if line["code"] == code:
                self.found[_key(line["key"])] = line["value"]

    def __contains__(self, key: Key) -> bool:
        return key in self.found

    def add(self, key: Key, value: dict[str, Any]) -> None:
        self.found[key] = value
        with self.file.open("a") as lines:
            lines.write(json.dumps({"code": self.code, "key": key, "value": value}) + "\n")

    def forget(self) -> None:
        """What is written up need not be kept: the next benchmark begins anew."""
        self.file.unlink(missing_ok=True)


def _key(parts: Sequence[Any]) -> Key:
    work, library, settings, number = parts
    return work, library, settings, number


def fingerprint(folders: Sequence[Path], besides: str = "") -> str:
    """Of all Python, YAML and C files in the folders, and of what else was chosen."""
    digest = hashlib.sha256(besides.encode())
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".c", ".h")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
