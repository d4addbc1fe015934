"""What the files of a run tell of it, for a page: records alone, no weights and no data."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainer.engine.checkpoint import BEST
from trainer.errors import CheckpointError
from trainer.records.folder import RunFolder, read_json
from trainer.records.metrics import read_metrics


@dataclass(frozen=True)
class Scores:
    """What the weights are worth on some pictures. What is not known is None or empty."""

    part: str
    """test | validation | train, or the name of another set."""
    images: int
    accuracy: float
    classes: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    """Where 95 % of the accuracy lies."""
    per_class: Mapping[str, Mapping[str, Any]] | None = None
    confusion: Sequence[Sequence[int]] | None = None
    pairs: Sequence[tuple[str, str, int]] = ()
    """(label, answer, images) of what is confused most, most first."""
    ece: float | None = None
    bins: Sequence[tuple[float, float, int, float | None, float | None]] = ()
    temperature: float | None = None
    mistakes: Sequence[Mapping[str, Any]] = ()
    suspects: Sequence[Mapping[str, Any]] = ()
    others: Mapping[str, float] | None = None
    """More scores, by the words that a page has for them."""
    folder: Path | None = None
    """Where the evaluation lies; None where training counted."""
    place: str = ""
    """Of another set than the run's own: the path that it was found at, where that is known."""

    @property
    def pictures(self) -> str:
        """Which pictures: a part of the run's own, or another set by its whole path."""
        return self.place or self.part

    @property
    def guessing(self) -> float:
        """What always the most frequent class would be right in; 0 where it is not known."""
        supports = [scores["support"] for scores in (self.per_class or {}).values()]
        return max(supports) / sum(supports) if sum(supports) else 0.0


@dataclass(frozen=True)
class RunFacts:
    """A run for a page."""

    folder: RunFolder
    config: Mapping[str, Any]
    """As stored, nested; unchecked."""
    about: Mapping[str, Any]
    summary: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    scores: tuple[Scores, ...]
    """The most telling first."""
    outdated: tuple[str, ...]
    """Evaluations of other weights than those that are there now."""

    @property
    def name(self) -> str:
        return self.folder.path.name or str(self.folder.path)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, self.about.get("classes", ())))


def facts_of(folder: RunFolder) -> RunFacts:
    """What there is. Raises CheckpointError if run.json or the config is damaged; no other file is needed."""
    lines = list(read_metrics(folder.metrics))
    about, summary = read_json(folder.about), folder.read_summary()
    classes = tuple(map(str, about.get("classes", ())))
    evaluated, outdated = _evaluations(folder)
    return RunFacts(
        folder,
        _stored(folder.config),
        about,
        summary,
        [line for line in lines if line["kind"] == "epoch"],
        [line for line in lines if line["kind"] == "step"],
        _ordered([*evaluated, *of_training(summary, classes)]),
        outdated,
    )


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is missing or damaged. Put back a copy.") from error
    return {str(key): value for key, value in stored.items()} if isinstance(stored, dict) else {}


def _ordered(found: Sequence[Scores]) -> tuple[Scores, ...]:
    """One of each set, evaluations before what training knew; test, validation, and then the others by name."""
    first: dict[str, Scores] = {}
    for each in found:
        first.setdefault(each.pictures, each)
    rank = {"test": 0, "validation": 1}
    return tuple(sorted(first.values(), key=lambda each: (rank.get(each.pictures, 2), each.pictures)))


def _evaluations(folder: RunFolder) -> tuple[list[Scores], tuple[str, ...]]:
    """Those in evaluation/ of this run alone and its present weights, and the names of those of earlier weights."""
    best, found, outdated = folder.checkpoints / BEST, [], []
    sha256 = hashlib.sha256(best.read_bytes()).hexdigest() if best.exists() else ""
    for path in sorted(folder.path.glob("evaluation/*/evaluation.json")):
        try:
            data = read_json(path)
            runs = data.get("runs", [])
            if len(runs) > 1 or data.get("tta", "none") != "none":
                continue
            if runs and runs[0].get("weights") != sha256:
                outdated.append(path.parent.name)
                continue
            found.append(of_evaluation(data, path.parent))
        except (CheckpointError, KeyError, TypeError, ValueError, AttributeError):
            continue  # a file that is damaged, or of another program, costs the page one section
    return found, tuple(outdated)


def of_evaluation(data: Mapping[str, Any], folder: Path) -> Scores:
    """What an evaluation.json tells. Raises KeyError, TypeError or ValueError if it is none."""
    classes = tuple(map(str, data["classes"]))
    others = {
        "balanced accuracy": data.get("balanced_accuracy"),
        "among the first five": data.get("top5") if len(classes) > 5 else None,
        "ROC-AUC": data.get("roc_auc"),
        "log loss": data.get("nll"),
        "Brier score": data.get("brier"),
    }
    name = folder.name
    interval = data.get("intervals", {}).get("accuracy")
    return Scores(
        part={"val": "validation"}.get(name, name) if data.get("own_data", True) else name,
        images=int(data["images"]),
        accuracy=float(data["accuracy"]),
        classes=classes,
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        per_class=data["per_class"],
        confusion=data["confusion"],
        pairs=_pairs(data["confusion"], classes),
        ece=data.get("ece"),
        bins=_bins(data.get("reliability")),
        temperature=data.get("temperature"),
        mistakes=tuple(data.get("mistakes", ())),
        suspects=tuple(data.get("suspect_labels", ())),
        others={words: value for words, value in others.items() if value is not None},
        folder=folder,
        place="" if data.get("own_data", True) else str(data.get("pictures", "")),
    )


def of_training(summary: Mapping[str, Any], classes: tuple[str, ...] = ()) -> list[Scores]:
    """What the run itself counted, on its test part and in validation."""
    found: list[Scores] = []
    if summary.get("task", "single") != "single":
        return found
    test, best = summary.get("test"), summary.get("best")
    if test:
        found.append(_counted("test", test, test["images"], test["accuracy"], classes))
    if best:
        images = sum(each["support"] for each in (summary.get("per_class") or {}).values())
        part = "test" if summary.get("validated_on") == "test" else "validation"
        found.append(_counted(part, summary, images, best["val_accuracy"], classes))
    return found


def _counted(part: str, told: Mapping[str, Any], images: int, accuracy: float, classes: tuple[str, ...]) -> Scores:
    return Scores(
        part,
        images,
        accuracy,
        classes,
        _wilson(accuracy, images) if images else None,
        told.get("per_class"),
        told.get("confusion"),
        [(each["label"], each["answer"], each["images"]) for each in told.get("most_confused") or ()],
        told.get("ece"),
        _bins(told.get("reliability")),
    )


def _bins(stored: Any) -> list[tuple[float, float, int, float | None, float | None]]:
    return [(each["low"], each["high"], each["images"], each["confidence"], each["accuracy"]) for each in stored or ()]


def _pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[tuple[str, str, int]]:
    found = [
        (label, answer, count)
        for label, row in zip(classes, confusion, strict=True)
        for answer, count in zip(classes, row, strict=True)
        if count and label != answer
    ]
    return sorted(found, key=lambda pair: -pair[2])[:24]


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Where 95 % of a share lies that was found on so many images (Wilson 1927)."""
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
