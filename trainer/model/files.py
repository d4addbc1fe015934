"""Files of weights: where they lie, what tensors they hold, and what stands beside those. Nothing in them runs."""

import json
import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from trainer.errors import CheckpointError, first_line, some
from trainer.model.copies import flat
from trainer.model.hub import ON_HUB, fetched
from trainer.system.durable import LFS_POINTER, is_lfs_pointer

SORTED = ".safetensors"
"""The ending of files that hold their tensors sorted by type and name, and not in the order of the network."""
ENDINGS = (".pt", ".pth", ".tar", ".ckpt", ".bin", SORTED)
"""By which a file of weights that is near a misspelt one is found."""
IN_A_FOLDER = ("model.safetensors", "pytorch_model.bin", "checkpoints/best.pt")
"""What holds the weights in a folder: the first two of the Hugging Face hub, the last of a run of ours."""
FROM_HUB = "DEFAULT"
"""What model.weights says for those that a package downloads for a network itself, once."""
OURS = "trainer"
"""The key of a published folder's config.json under which stands what this program has put there."""
_UNNAMED = re.compile(r"LABEL_\d+")
"""What Hugging Face's transformers calls the classes of a network that was not told their names."""


@dataclass(frozen=True)
class Place:
    """Where weights lie: their file, what to call it, and what a config.json beside it says."""

    file: Path
    name: str
    config: Mapping[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """Those in the file by their dotted names, on the CPU. Raises CheckpointError as read does."""
        return read(self.file)

    def told(self) -> Mapping[str, Any]:
        """What a checkpoint holds, its tensors not yet read; nothing for other files. Raises as read does."""
        content = _content(self.file, mmap=True) if zipfile.is_zipfile(self.file) else None
        return content if isinstance(content, Mapping) else {}

    def classes(self) -> list[str] | None:
        """The names of the classes that the head knows, in order; None where neither file nor config.json tells."""
        pretrained, ours, labels = (self.said(key) for key in ("pretrained_cfg", OURS, "id2label"))
        lists = (
            self.told().get("classes"),
            ours.get("classes"),
            self.config.get("label_names"),
            pretrained.get("label_names"),
            [labels[key] for key in sorted(labels, key=lambda key: (len(key), key))],  # "10" comes after "9"
        )
        named = (names for names in lists if isinstance(names, list) and names)
        return next(([str(name) for name in names] for names in named if not _UNNAMED.fullmatch(str(names[0]))), None)

    def said(self, key: str) -> Mapping[str, Any]:
        """The mapping under a key of config.json; an empty one where there is none."""
        value = self.config.get(key)
        return value if isinstance(value, Mapping) else {}


def located(weights: str) -> Place | None:
    """Where the weights lie that a path names, of a file or a folder, or hf-hub:OWNER/NAME; None if nothing is there.

    Raises CheckpointError for a folder that holds no weights, and as fetched does.
    """
    if weights.startswith(ON_HUB):
        file, name = fetched(weights)
        return Place(file, name, _config_in(file.parent))
    path = Path(weights).expanduser()
    if path.is_dir():
        inside = next((path / name for name in IN_A_FOLDER if (path / name).is_file()), None)
        if inside is None:
            files = [Path(each).name for each in neighbours(str(path / "any"))]
            advice = f"Name the file that does: {some(files)}." if files else "Name a file of weights."
            raise CheckpointError(f"weights: the folder '{weights}' has none of {', '.join(IN_A_FOLDER)}. {advice}")
        return Place(inside, str(inside.relative_to(path.parent)), _config_in(path))
    if not path.is_file():
        return None
    return Place(path, path.name, _config_in(path.parent) if path.name in IN_A_FOLDER else {})


def neighbours(weights: str) -> list[str]:
    """The files beside a path that may hold weights."""
    return [str(each) for each in Path(weights).expanduser().parent.glob("*") if each.suffix in ENDINGS]


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a state dict, plain or within what training programs save, by their dotted names, on the CPU.

    Raises CheckpointError if the file cannot be read, holds no tensors, or wants to run code.
    """
    return by_name(_content(path), str(path))


def by_name(content: object, origin: str) -> dict[str, Tensor]:
    """The tensors in content, by their dotted names. Raises CheckpointError if there are none."""
    tensors = flat(content)
    if not tensors:
        raise CheckpointError(
            f"weights: {origin} holds no tensors by name. Save model.state_dict() and name that file."
        )
    return tensors


def _content(path: Path, *, mmap: bool = False) -> object:
    """What was saved in the file. A Namespace is plain data: timm and torchvision save one. Raises CheckpointError."""
    refusal = f"weights: '{path}' cannot be read as a state dict"
    if is_lfs_pointer(path):
        raise CheckpointError(f"{refusal}: it is {LFS_POINTER}.")
    try:
        if path.suffix == SORTED:
            return load_file(path)
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([Namespace]):  # old formats
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # of a broken file torch may raise almost anything
        raise CheckpointError(f"{refusal}: {_reason(error)}.") from error


def _config_in(folder: Path) -> Mapping[str, Any]:
    """What a config.json in the folder says; nothing where there is none, for weights need none."""
    try:
        content = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _reason(error: Exception) -> str:
    """One line. Of a pickle that names something beyond tensors, that name."""
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    if forbidden:
        return (
            f"it asks for '{forbidden[1]}', and a file of weights may hold tensors only, never code. "
            "Where it was made, save model.state_dict() alone, and name that file"
        )
    if "TorchScript" in str(error):
        return "it is a TorchScript program. Where it was made, save model.state_dict(), and name that file"
    if isinstance(error, SafetensorError):
        reason = first_line(error).removeprefix("Error while deserializing").removeprefix(" header").removeprefix(": ")
        return f"it is cut short or damaged, or is no safetensors file ({reason})"
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return error.strerror or first_line(error)
    return "it is cut short or damaged, or is no file of weights"
