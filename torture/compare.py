"""What two runs ended in, and where they differ."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from trainer.records.lines import read_metrics


def differences(unbroken: Path, killed: Path) -> list[str]:
    """Every place in which two run folders differ, times and event lines apart; one line each."""
    ours, theirs = (dict(_contents(folder)) for folder in (unbroken, killed))
    lines = []
    for place in {**ours, **theirs}:
        if place not in theirs:
            lines.append(f"{place}: only in the unbroken run")
        elif place not in ours:
            lines.append(f"{place}: only in the killed run")
        elif not _same(ours[place], theirs[place]):
            lines.append(f"{place}: {_shown(ours[place])} unbroken, {_shown(theirs[place])} killed")
    return lines


def _contents(folder: Path) -> Iterator[tuple[str, Any]]:
    """Each tensor and each plain value that a run ended in, by its place."""
    for path in sorted(folder.glob("checkpoints/*")):
        if path.name in ("last.pt", "best.pt") or path.name.startswith("epoch"):
            yield from _leaves(path.name, torch.load(path, weights_only=True))
        elif path.name not in ("previous.pt", "manifest.json"):
            yield f"checkpoints/{path.name}", "a file that does not belong there"
    lines = [line for line in read_metrics(folder / "metrics.jsonl") if line["kind"] != "event"]
    yield from _leaves("metrics.jsonl", lines)
    yield from _leaves("summary.json", json.loads((folder / "summary.json").read_text()))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if "second" not in str(key) and key != "waited":  # seconds, images_per_second, …: times
                yield from _leaves(f"{place}/{key}", each)
    elif isinstance(value, list | tuple):
        yield place, f"{len(value)} items"
        for number, each in enumerate(value):
            yield from _leaves(f"{place}/{number}", each)
    else:
        yield place, value


def _same(ours: Any, theirs: Any) -> bool:
    """Whether both are the same bits: a NaN is like itself."""
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        alike = ours.dtype == theirs.dtype and ours.shape == theirs.shape
        return alike and ours.contiguous().numpy().tobytes() == theirs.contiguous().numpy().tobytes()
    return type(ours) is type(theirs) and repr(ours) == repr(theirs)


def _shown(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    return f"{value.dtype} {tuple(value.shape)}, first {value.flatten()[:3].tolist()}"
