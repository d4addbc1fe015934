"""Weights from a file, loaded where name and shape agree; and a head that starts anew where it knows other classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainer.errors import CheckpointError, both_lists, did_you_mean, some
from trainer.model.copies import named_as
from trainer.model.files import SORTED, located, neighbours
from trainer.model.head import heads, start
from trainer.model.in_order import matched, matches, sides
from trainer.model.staged import Staged
from trainer.schema import HeadInit, Match

Net = TypeVar("Net", bound=Staged)


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
            shapes = [f"{name} {sides(given)} -> {sides(wanted)}" for name, given, wanted in self.reshaped]
            lines.append(f"weights: new, because the shape differs: {some(shapes)}")
        if self.new:
            lines.append(f"weights: new, because {origin} has none: {some(self.new)}")
        if self.left_out:
            lines.append(f"weights: left out, because the model has none: {some(self.left_out)}")
        return tuple(lines)


@dataclass(frozen=True)
class Begun:
    """How a network began from weights, in words, and whether its head is theirs."""

    notes: tuple[str, ...] = ()
    keeps_head: bool = False


def with_weights(model: Net, weights: str | None, head_init: HeadInit, match: Match) -> Net:
    """The model, with the weights in a file where one is named; its notes then say what became of every tensor."""
    if weights is not None:
        begun = load_file(model, weights, head_init, match)
        model.notes += begun.notes
        model.keeps_head = begun.keeps_head
    return model


def load_file(net: nn.Module, weights: str, head_init: HeadInit = "zero", match: Match = "name") -> Begun:
    """Loads what agrees from a state dict (.pt, .safetensors), a checkpoint of any program, or a folder with one.

    Raises CheckpointError if there is no such file, or nothing in it fits.
    """
    place = located(weights)
    if place is None:
        raise CheckpointError(f"weights: there is no file '{weights}'.{did_you_mean(weights, neighbours(weights))}")
    return load(net, place.tensors(), place.name, head_init, match)


def load(net: nn.Module, tensors: Mapping[str, Tensor], origin: str, head_init: HeadInit, match: Match) -> Begun:
    """Loads what agrees from the tensors of a file, whatever stands before their names, and starts a new head.

    Raises CheckpointError if nothing fits, or nothing tells which of several copies of the net is meant.
    """
    own, ends, is_sorted = net.state_dict(), heads(net), origin.endswith(SORTED)
    if match == "order" and is_sorted:
        raise CheckpointError(
            f"weights: model.match=order cannot act on {origin}: such a file holds its tensors in the order of their "
            "names, not of the network. Where it was made, save model.state_dict() with torch.save, and name that file."
        )
    named, choice = matched(own, tensors, ends, origin) if match == "order" else named_as(own, tensors, origin)
    colours = sum_colours(net, named)
    if not any(name in named and named[name].shape == value.shape for name, value in net.named_parameters()):
        raise _misfit(own, tensors, origin, by_order=not is_sorted and matches(own, tensors, ends))
    done = transfer(net, named, origin)
    new = [layer for name, layer in ends.items() if f"{name}.weight" not in done.loaded]
    notes = (*choice, *colours, *done.notes(origin))
    if head_init == "new":
        return Begun((*notes, f"weights: the head is new, as model.head_init says: {start(net, ends.values(), 'new')}"))
    if new and head_init == "zero":
        notes += (f"weights: the head is new: {start(net, new, head_init)}",)
    return Begun(notes, keeps_head=not new)


def renew_head(model: nn.Module, options: Mapping[str, Any], classes: Sequence[str]) -> tuple[str, ...]:
    """Starts a head anew that fits, but is of other classes, where the weights' file tells them; what was done.

    options: of the model's part. Where the file does not tell its classes, the head stays, and that is said.
    """
    if not getattr(model, "keeps_head", False):
        return ()
    place = located(options["weights"])
    before, name = (None, options["weights"]) if place is None else (place.classes(), place.name)
    if before is None:
        return (
            f"weights: the head of {len(classes)} classes is kept, for it fits, and {name} does not say which classes "
            "it knows. If they are others: model.head_init=new",
        )
    if before == list(classes):
        return ()
    how = start(model, heads(model).values(), options["head_init"])
    return (f"weights: the head is new, because {name} knows other classes: {both_lists(before, classes)}; {how}",)


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


def transfer(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> Transfer:
    """Load every tensor whose name and shape agree, in place.

    Raises CheckpointError if one that agrees is no plain array of finite numbers.
    """
    own = model.state_dict()
    agreeing = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    reshaped = tuple(
        (name, tuple(tensors[name].shape), tuple(own[name].shape))
        for name in own
        if name in tensors and name not in agreeing
    )
    odd = next((name for name, tensor in agreeing.items() if not _is_plain(tensor)), None)
    if odd is not None:
        raise CheckpointError(
            f"weights: '{odd}' in {origin} is no plain array of real numbers: quantised, sparse, complex or empty. "
            "Save model.state_dict() of the network as it was trained, and name that file."
        )
    broken = next((name for name, tensor in agreeing.items() if not _is_finite(tensor)), None)
    if broken is not None:
        raise CheckpointError(
            f"weights: '{broken}' in {origin} holds values that are infinite or no number: the training that made it "
            "had diverged, or the file is damaged. Take an earlier checkpoint of it."
        )
    model.load_state_dict(agreeing, strict=False)
    new = tuple(name for name in own if name not in tensors)
    left_out = tuple(name for name in tensors if name not in own)
    return Transfer(tuple(agreeing), new, left_out, reshaped)


def _misfit(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], origin: str, *, by_order: bool
) -> CheckpointError:
    theirs, ours = (max(each, key=lambda name: each[name].ndim) for each in (tensors, own))  # the first convolution
    advice = "Are they of another network? Say which with model and model.arch."
    if by_order:
        advice = "By their shapes all of them match in order, though: model.match=order takes them so."
    return CheckpointError(
        f"weights: nothing in {origin} fits the model: it holds '{theirs}' {sides(tensors[theirs].shape)}, "
        f"the model '{ours}' {sides(own[ours].shape)}. {advice}"
    )


def _is_plain(tensor: Tensor) -> bool:
    odd = tensor.is_quantized or tensor.is_meta or tensor.is_complex()
    return tensor.layout is torch.strided and not odd


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.float().isfinite().all())
