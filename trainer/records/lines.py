"""The lines of metrics.jsonl, read without torch."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.records.older import with_objective


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, oldest first. A last line that a crash cut short is left out."""
    if not path.exists():
        return
    for text in path.read_bytes().split(b"\n"):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(line, dict) or not {"kind", "step", "epoch"} <= line.keys():
            return
        yield with_objective(line)
