"""What the files of a run tell of it, for a page: records alone, no weights and no data."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.doctor.diagnose import diagnose
from trainer.doctor.finding import Finding
from trainer.doctor.of_run import history_of
from trainer.engine.checkpoint import BEST
from trainer.errors import CheckpointError
from trainer.records.folder import RunFolder, read_json
from trainer.records.lines import read_metrics
from trainer.report.page.scores import Scores
from trainer.report.page.wordings import Wording, of_training, wording_of


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
    findings: tuple[Finding, ...] = ()
    """What is found in the records, the gravest first."""

    @property
    def name(self) -> str:
        return self.folder.path.name or str(self.folder.path)

    @property
    def wording(self) -> Wording:
        """What is said of scores of its task."""
        return wording_of(_task(self.summary, self.config))

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, self.about.get("classes", ())))


def facts_of(folder: RunFolder) -> RunFacts:
    """What there is. Raises CheckpointError if run.json or the config is damaged; no other file is needed."""
    lines = list(read_metrics(folder.metrics))
    about, summary = read_json(folder.about), folder.read_summary()
    classes = tuple(map(str, about.get("classes", ())))
    config = folder.stored_config()
    evaluated, outdated = _evaluations(folder, wording_of(_task(summary, config)))
    return RunFacts(
        folder,
        config,
        about,
        summary,
        [line for line in lines if line["kind"] == "epoch"],
        [line for line in lines if line["kind"] == "step"],
        _ordered([*evaluated, *of_training(summary, classes)]),
        outdated,
        tuple(diagnose(history_of(folder))),
    )


def _ordered(found: Sequence[Scores]) -> tuple[Scores, ...]:
    """One of each set, evaluations before what training knew; test, validation, and then the others by name."""
    first: dict[str, Scores] = {}
    for each in found:
        first.setdefault(each.pictures, each)
    rank = {"test": 0, "validation": 1}
    return tuple(sorted(first.values(), key=lambda each: (rank.get(each.pictures, 2), each.pictures)))


def _task(summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Its name, as the summary tells it, or the config of a run that has none."""
    stored = config.get("task")
    return str(summary.get("task") or (stored.get("name") if isinstance(stored, Mapping) else None) or "single")


def _evaluations(folder: RunFolder, wording: Wording) -> tuple[list[Scores], tuple[str, ...]]:
    """Those in evaluation/ of this run alone and its present weights, and the names of those of earlier weights."""
    best, found, outdated = folder.checkpoints / BEST, [], []
    sha256 = hashlib.sha256(best.read_bytes()).hexdigest() if best.exists() else ""
    for path in sorted(folder.path.glob("evaluation/*/evaluation.json")):
        try:
            data = read_json(path)
            runs = data.get("runs", [])
            if len(runs) > 1 or data.get("tta", "none") != "none" or data.get("threshold") is not None:
                continue
            if runs and runs[0].get("weights") != sha256:
                outdated.append(path.parent.name)
                continue
            found.append(wording.of_evaluation(data, path.parent))
        except (CheckpointError, KeyError, TypeError, ValueError, AttributeError):
            continue  # a file that is damaged, or of another program, costs the page one section
    return found, tuple(outdated)
