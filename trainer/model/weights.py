"""Weights from a file: read without running anything in it, and loaded where name and shape agree."""

import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainer.errors import CheckpointError, both_lists, did_you_mean, first_line, some
from trainer.model import safetensors
from trainer.model.copies import flat, named_as
from trainer.model.staged import Staged
from trainer.system.durable import LFS_POINTER, is_lfs_pointer

Net = TypeVar("Net", bound=Staged)

ENDINGS = (".pt", ".pth", ".tar", ".ckpt", ".bin", safetensors.SUFFIX)
"""By which a file of weights that is near a misspelt one is found."""


@dataclass(frozen=True)
class Transfer:
    """What became of the tensors: names as the model has them, (name, shape given, shape wanted) for reshaped."""

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def notes(self, origin: str) -> tuple[str, ...]:
        """The same in words, a line for each kind there is."""
        total = len(self.loaded) + len(self.new) + len(self.reshaped)
        lines = [f"weights: {len(self.loaded)} of {total} tensors loaded from {origin}"]
        if self.reshaped:
            shapes = [f"{name} {_sides(given)} -> {_sides(wanted)}" for name, given, wanted in self.reshaped]
            lines.append(f"weights: new, because the shape differs: {', '.join(shapes)}")
        if self.new:
            lines.append(f"weights: new, because {origin} has none: {some(self.new)}")
        if self.left_out:
            lines.append(f"weights: left out, because the model has none: {some(self.left_out)}")
        return tuple(lines)


def with_weights(model: Net, weights: str | None) -> Net:
    """The model, with the weights in a file where one is named; its notes then say what became of every tensor."""
    if weights is not None:
        model.notes += load_file(model, weights)
    return model


def load_file(net: nn.Module, weights: str) -> tuple[str, ...]:
    """Loads what agrees from a state dict (.pt, .safetensors) or a checkpoint of any program; what became of it.

    Raises CheckpointError if there is no such file, or nothing in it fits.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise CheckpointError(f"weights: there is no file '{weights}'.{did_you_mean(weights, neighbours(path))}")
    return load(net, read(path), path.name)


def neighbours(path: Path) -> list[str]:
    """The files beside path that may hold weights."""
    return [str(each) for each in path.parent.glob("*") if each.suffix in ENDINGS]


def load(net: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> tuple[str, ...]:
    """Loads what agrees from the tensors of a file, whatever stands before their names; what became of them, in words.

    Raises CheckpointError if nothing fits, or nothing tells which of several copies of the net is meant.
    """
    named, choice = named_as(net.state_dict(), tensors, origin)
    return (*choice, *sum_colours(net, named), *transfer(net, named, origin).notes(origin))


def renew_head(model: nn.Module, weights: str | None, classes: Sequence[str]) -> tuple[str, ...]:
    """Starts the last layer anew where weights names a checkpoint of ours of as many, but other classes; says so.

    Where their number differs the layer did not fit, and is new anyway.
    """
    path = Path(weights or "").expanduser()
    if not path.is_file() or not zipfile.is_zipfile(path):
        return ()
    content = _unpickled(path, mmap=True)
    before = content.get("classes") if isinstance(content, Mapping) else None
    if not isinstance(before, list) or before == list(classes) or len(before) != len(classes):
        return ()
    heads = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    heads[-1].reset_parameters()
    return (f"weights: the head is new, because {path.name} knows other classes: {both_lists(before, classes)}",)


def sum_colours(model: nn.Module, tensors: dict[str, Tensor]) -> tuple[str, ...]:
    """Fits the first convolution's tensor for colour images to a model of grey ones, and says so; in place.

    The sum over the input channels gives for a grey image what three equal channels would have given.
    """
    convs = ((name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    name, conv = next(convs, ("", None))
    stem = tensors.get(f"{name}.weight")
    if conv is None or stem is None or stem.ndim != 4 or conv.in_channels != 1 or stem.shape[1] == 1:
        return ()
    tensors[f"{name}.weight"] = stem.sum(1, keepdim=True)
    return (f"grey images: the weights of {name} summed over red, green and blue",)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a state dict, plain or within what training programs save, by their dotted names, on the CPU.

    Raises CheckpointError if the file cannot be read, holds no tensors, or wants to run code.
    """
    refusal = f"weights: '{path}' cannot be read as a state dict"
    if is_lfs_pointer(path):
        raise CheckpointError(f"{refusal}: it is {LFS_POINTER}.")
    if path.suffix == safetensors.SUFFIX:
        try:
            return by_name(safetensors.read(path), str(path))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{refusal}: {first_line(error).rstrip('.')}.") from error
    try:
        content = _unpickled(path)
    except Exception as error:  # of a broken file torch may raise almost anything
        raise CheckpointError(f"{refusal}: {_reason(error)}.") from error
    return by_name(content, str(path))


def by_name(content: object, origin: str) -> dict[str, Tensor]:
    """The tensors in content, by their dotted names. Raises CheckpointError if there are none."""
    tensors = flat(content)
    if not tensors:
        raise CheckpointError(
            f"weights: {origin} holds no tensors by name. Save model.state_dict() and name that file."
        )
    return tensors


def transfer(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> Transfer:
    """Load every tensor whose name and shape agree, in place.

    Raises CheckpointError if no parameter is among them, or one that agrees is no plain array.
    """
    own = model.state_dict()
    agreeing = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    reshaped = tuple(
        (name, tuple(tensors[name].shape), tuple(own[name].shape))
        for name in own
        if name in tensors and name not in agreeing
    )
    if not any(name in agreeing for name, _ in model.named_parameters()):
        theirs, ours = next(iter(tensors)), next(iter(own))
        raise CheckpointError(
            f"weights: nothing in {origin} fits the model: it begins with '{theirs}' {_sides(tensors[theirs].shape)}, "
            f"the model with '{ours}' {_sides(own[ours].shape)}.{did_you_mean(theirs, own)} Are they of another net?"
        )
    odd = next((name for name, tensor in agreeing.items() if not _is_plain(tensor)), None)
    if odd is not None:
        raise CheckpointError(
            f"weights: '{odd}' in {origin} is no plain array of real numbers: quantised, sparse, complex or empty. "
            "Save model.state_dict() of the network as it was trained, and name that file."
        )
    model.load_state_dict(agreeing, strict=False)
    new = tuple(name for name in own if name not in tensors)
    left_out = tuple(name for name in tensors if name not in own)
    return Transfer(tuple(agreeing), new, left_out, reshaped)


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape) or "scalar"


def _is_plain(tensor: Tensor) -> bool:
    odd = tensor.is_quantized or tensor.is_meta or tensor.is_complex()
    return tensor.layout is torch.strided and not odd


def _unpickled(path: Path, mmap: bool = False) -> Any:
    """What torch saved in the file; nothing in it runs. A Namespace is plain data: timm and torchvision save one."""
    with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([Namespace]):  # the format is old
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


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
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return str(error.strerror)
    return "it is cut short or damaged, or is no file of weights"
