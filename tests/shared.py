"""What several files of tests use: what a tiny run is, what it leaves behind, and faults."""

import gzip
import hashlib
import json
import math
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.data.keep import Keep
from trainer.data.source import Samples
from trainer.engine.state import State
from trainer.feed.batches import Batch
from trainer.feed.pack import Progress
from trainer.feed.store import Store, open_stores
from trainer.schema import Cache

TINY = (
    "data.images=96",
    "data.classes=3",
    "data.size=12",
    "model.widths=[4,8]",
    "batch_size=16",
    "epochs=2",
    "log_every=2",
    "device=cpu",
    "precision=fp32",
    "report=false",
)
"""A run of a second: 87 training images, 6 steps an epoch. What wants its page says report=true."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def forked(work: Callable[[], object]) -> int:
    """How a process of its own ended that did the work. It has torch already, whose import takes longer than most."""
    with warnings.catch_warnings(action="ignore"):  # of threads beside the fork: none of them holds a lock of ours
        pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(99)  # not one of the program's
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def lines_of(path: Path, *kinds: str) -> Sequence[dict[str, object]]:
    """The lines of a metrics file of the kinds given, without what is a time."""
    from trainer.records.lines import read_metrics

    times = ("seconds", "train_seconds", "val_seconds", "images_per_second")
    lines = [line for line in read_metrics(path) if line["kind"] in kinds]
    for line in lines:
        line.get("vitals", {}).pop("waited", None)
    return [{key: value for key, value in line.items() if key not in times} for line in lines]


def open_store(samples: Samples, *, cache: Cache, workers: int, progress: Progress | None = None) -> Store:
    """The store of one part alone."""
    (store,), _ = open_stores([samples], Keep(cache), workers=workers, progress=progress)
    return store


def fingerprint(folder: Path) -> dict[str, Any]:
    """What must be the same: every tensor of the last state by its bytes, the counters, the records but for times."""
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    digest = hashlib.sha256()

    def walk(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                digest.update(str(key).encode())
                walk(value[key])
        elif isinstance(value, list | tuple):
            for each in value:
                walk(each)
        else:
            digest.update(repr(value).encode())

    walk(saved)
    summary = json.loads((folder / "summary.json").read_text())
    return {
        "state": digest.hexdigest(),
        "lines": lines_of(folder / "metrics.jsonl", "step", "epoch"),
        "summary": {key: value for key, value in summary.items() if key not in ("seconds", "images_per_second")},
    }


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: list[Callable[[Path], Any]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("not a checkpoint"),
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    flip_a_bit,
    lambda path: path.unlink(),
]


class Crash(BaseException):
    """The process ends here."""


class Malice:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@dataclass
class Poison:
    """Spoils the steps of these numbers as the loop comes to them, once for each time that they are listed."""

    steps: list[int] = field(default_factory=list)
    error: Exception | None = None
    """What is raised instead, where it is given."""
    names: list[str] = field(default_factory=list)
    """The images of the step that was spoilt last."""

    def groups(self, groups: Callable[..., Iterator[Sequence[Batch]]]) -> Callable[..., Iterator[Sequence[Batch]]]:
        def spoilt(state: State, batches: Any) -> Iterator[Sequence[Batch]]:
            for group in groups(state, batches):
                if state.step + 1 not in self.steps:
                    yield group
                    continue
                self.steps.remove(state.step + 1)
                if self.error is not None:
                    raise self.error
                self.names = [batches.store.keys[index] for batch in group for index in batch.indices.tolist()]
                yield [replace(batch, images=batch.images * math.nan) for batch in group]

        return spoilt


class Reader(HTMLParser):
    """What a page holds: its elements with their attributes, and its text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.elements if each == tag]


def idx_bytes(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, *, zipped: bool = False) -> dict[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    folder.mkdir(parents=True, exist_ok=True)
    rng, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 40), ("t10k", 20)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return arrays
