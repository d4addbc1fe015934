"""What is asked of an export, and what stands in or beside every file that comes of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from trainer.errors import CheckpointError
from trainer.inference.answering import answering_of
from trainer.inference.classifier import Classifier
from trainer.inference.engine import torch_engine
from trainer.inference.export.parity import Parity
from trainer.inference.saved import SavedRun
from trainer.records.folder import read_json

Format = Literal["onnx", "torch_export", "safetensors"]
Quantize = Literal["none", "int8"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ""}


@dataclass(frozen=True)
class Wish:
    """What is asked for. inside: whether the file prepares pictures itself."""

    format: Format
    inside: bool
    quantize: Quantize
    temperature: float
    output: Path
    hub: str | None = None
    """OWNER/NAME of the repository that a folder goes to."""

    @property
    def report(self) -> Path:
        """Where the parity report lies: in the folder, or beside the file: model.json of model.onnx.

        Where that is the report of another file, or something else altogether, it is model.onnx.json.
        """
        if not SUFFIXES[self.format]:
            return self.output / "parity.json"
        short = self.output.with_suffix(".json")
        return self.output.with_name(f"{self.output.name}.json") if _is_of_another(short, self.output) else short


def _is_of_another(report: Path, file: Path) -> bool:
    """Whether something lies there that is no report of this file."""
    try:
        return report.exists() and read_json(report).get("file") != file.name
    except CheckpointError:  # it is no JSON
        return True


def as_torch_answers(run: SavedRun, temperature: float) -> Classifier:
    """The run in torch on the CPU, in fp32: as `trainer.load` has it, whatever precision it was scored in."""
    engine = torch_engine(run, torch.device("cpu"), "fp32")
    return Classifier(run.classes, run.preprocessing, engine, answering_of(run), temperature)


def report(run: SavedRun, wish: Wish, parity: Parity) -> str:
    """The parity report: what was compared, on what, and how it came out."""
    plain = {
        "file": wish.output.name,
        **parity.plain(),
        **told(run, wish),
    }
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def told(run: SavedRun, wish: Wish) -> dict[str, Any]:
    """What a program that uses the file must know, or may want to."""
    return {
        "classes": list(run.classes),
        **answering_of(run).told(run.classes),
        "preprocessing": {"place": "inside" if wish.inside else "outside", **run.preprocessing.plain()},
        "temperature": wish.temperature,
        "quantize": wish.quantize,
        "epoch": run.epoch,
        "weights_sha256": run.sha256,
        "figures": figures(run),
    }


def holds(run: SavedRun, wish: Wish) -> bool:
    """Whether the folder is there already that is asked for, proven: with the same weights, told in the same words."""
    asked = json.loads(json.dumps(told(run, wish)))
    return wish.report.exists() and asked.items() <= read_json(wish.report).items()


def figures(run: SavedRun) -> dict[str, Any]:
    """What the run's training measured, of the weights that are exported; nothing for weights that lie alone."""
    summary = run.folder.read_summary() if run.folder is not None else {}
    return {key: summary[key] for key in ("best", "test", "validated_on") if summary.get(key)}
