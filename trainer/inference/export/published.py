"""The folder that the Hugging Face hub expects: weights, config.json, and a card that says what was measured."""

import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from trainer import __version__
from trainer.config import without_weights
from trainer.errors import OutputError
from trainer.inference.answering import answering_of
from trainer.inference.export.card import card
from trainer.inference.export.parity import Parity, prove
from trainer.inference.export.pictures import Proof
from trainer.inference.export.wish import Wish, as_torch_answers, report
from trainer.inference.place import PUBLISHED
from trainer.inference.saved import TENSORS, SavedRun, read_run
from trainer.model.files import OURS
from trainer.records.folder import cannot_write, replace_text, write_json

_CROP_MODES = {"crop": "center", "squish": "squash", "pad": "border"}
"""timm's words for how a picture fills a size."""
_BACKBONE = "net."
"""What stands before the names of a network that is not our own."""


def publish(run: SavedRun, wish: Wish, pictures: Proof) -> Parity:
    """Writes the folder in one piece, once what was read back from it has answered as the run does.

    Raises OutputError if the folder holds anything yet, or cannot be written.
    """
    folder = wish.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is there already. Choose another folder with output=FOLDER, or delete it.")
    beside = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)  # left of a run that was killed
    try:
        beside.mkdir(parents=True)
        prefix = _prefix(run.weights)
        tensors = {name.removeprefix(prefix): _alone(tensor) for name, tensor in run.weights.items()}
        (beside / TENSORS).write_bytes(save(tensors, metadata={"format": "pt"}))  # which other readers ask for
        write_json(beside / PUBLISHED, _config(run, prefix))
        again = as_torch_answers(read_run(beside, run.stored.get("plugins") or ()), wish.temperature)

        def answer(images: Any) -> Any:
            return np.concatenate([again.probabilities(again.preprocessing.prepared(each)[None]) for each in images])

        parity = prove(as_torch_answers(run, wish.temperature), answer, pictures, inside=True)
        parity.check(wish.quantize)
        replace_text(beside / wish.report.name, report(run, wish, parity))
        replace_text(beside / "README.md", card(run, folder.name, parity, is_timm=bool(_timm(run)), hub=wish.hub))
        if folder.exists():
            folder.rmdir()  # it is empty
        beside.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return parity


def _alone(tensor: Tensor) -> Tensor:
    """A copy in rows, sharing memory with no other tensor: what a safetensors file holds."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _prefix(weights: Mapping[str, Tensor]) -> str:
    return _BACKBONE if all(name.startswith(_BACKBONE) for name in weights) else ""


def _config(run: SavedRun, prefix: str) -> dict[str, Any]:
    """What the network is: for this program under its own name, and for timm where it is one of timm's."""
    config = without_weights(run.config(["model"]))
    model = config.parts["model"]
    return {
        "architecture": model.name,
        "num_classes": len(run.classes),
        **_timm(run),
        "id2label": {str(place): name for place, name in enumerate(run.classes)},
        OURS: {
            "version": __version__,
            "model": {"name": model.name, **model.options},
            "loss": run.stored.get("loss"),
            "channels_last": config.settings.channels_last,
            "prefix": prefix,
            "classes": list(run.classes),
            **_task(run),
            "preprocessing": run.preprocessing.plain(),
            "precision": run.precision,
            "epoch": run.epoch,
        },
    }


def _task(run: SavedRun) -> dict[str, Any]:
    """What it takes to answer as the run does, where that is not a likeliest class: read_run asks for it."""
    told = answering_of(run).told(run.classes)
    return {**told, "task": run.stored["task"]} if told else {}


def _timm(run: SavedRun) -> dict[str, Any]:
    """What `timm.create_model('local-dir:FOLDER', pretrained=True)` reads; nothing for networks that it lacks."""
    model = run.config(["model"]).parts["model"]
    if model.name != "timm" or model.options["hidden"] is not None:
        return {}
    preprocessing, frame = run.preprocessing, run.preprocessing.frame
    sized = {"img_size": model.options["image_size"]} if model.options["image_size"] else {}
    return {
        "architecture": model.options["arch"],
        "model_args": {"in_chans": preprocessing.channels, **sized},
        "pretrained_cfg": {
            "input_size": [preprocessing.channels, *preprocessing.size],
            "interpolation": frame.resize,
            "crop_pct": frame.crop_share,
            "crop_mode": _CROP_MODES[frame.fit],
            "mean": list(preprocessing.normalisation.mean),
            "std": list(preprocessing.normalisation.std),
            "num_classes": len(run.classes),
            "label_names": list(run.classes),
        },
    }
