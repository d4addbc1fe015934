"""Finds a network's tensors in a file that has other names for them: by their order, where every shape agrees."""

from collections.abc import Collection

from torch import Tensor

from trainer.errors import CheckpointError
from trainer.model.copies import Named, Tensors, best_ranked

ROLES = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
"""The last words that all programs of torch share: a weight is no bias, though both may have one shape."""
DEPTH = 16
"""Words of a name that may be a prefix. The file is a stranger's: a name may have millions."""


def matched(own: Tensors, tensors: Tensors, heads: Collection[str], origin: str) -> Named:
    """The tensors under the names that the network has for them, matched one for one; and in words, which is which.

    They are those under the one prefix that has as many as the network. All shapes must agree, but for the classes of
    the heads (names of layers), and for the colours of a first convolution that sees grey.
    Raises CheckpointError where they do not, or several prefixes have as many.
    """
    copies = _of_length(len(own), tensors)
    if not copies:
        raise CheckpointError(
            f"weights: model.match=order wants as many tensors as the model has, {len(own)}, and {origin} holds "
            f"{len(tensors)}. Are they of another network?"
        )
    prefix, choice = best_ranked(list(copies), origin)
    stem = next((name for name, ours in own.items() if ours.ndim == 4), "")
    pairs = list(zip(own.items(), copies[prefix].items(), strict=True))
    for place, ((name, ours), (other, theirs)) in enumerate(pairs, start=1):
        if not _agree(name, ours, other, theirs, heads, is_stem=name == stem):
            raise CheckpointError(
                f"weights: {origin} does not match the model in order: of {len(own)} tensors, number {place} is "
                f"'{other}' {sides(theirs.shape)} there and '{name}' {sides(ours.shape)} in the model."
            )
    (name, _), (other, _) = pairs[0]
    (last, _), (other_last, _) = pairs[-1]
    note = f"weights: matched in order, not by name: '{other}' is '{name}', and so on to '{other_last}', '{last}'"
    return {name: theirs for (name, _), (_, theirs) in pairs}, (*choice, note)


def matches(own: Tensors, tensors: Tensors, heads: Collection[str]) -> bool:
    """Whether matched would find them."""
    try:
        matched(own, tensors, heads, "")
    except CheckpointError:
        return False
    return True


def sides(shape: tuple[int, ...]) -> str:
    """A shape in words: 3x8."""
    return "x".join(str(side) for side in shape) or "scalar"


def _of_length(count: int, tensors: Tensors) -> dict[str, dict[str, Tensor]]:
    """The tensors under each prefix that has this many, by the innermost prefix that they share."""
    copies: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        words = name.split(".", DEPTH)
        for depth in range(len(words)):
            copies.setdefault("".join(f"{word}." for word in words[:depth]), {})[name] = tensor
    alike = {tuple(copy): prefix for prefix, copy in copies.items() if len(copy) == count}  # the innermost comes last
    return {prefix: copies[prefix] for prefix in alike.values()}


def _agree(name: str, ours: Tensor, other: str, theirs: Tensor, heads: Collection[str], *, is_stem: bool) -> bool:
    roles = {name.rpartition(".")[2], other.rpartition(".")[2]} & ROLES
    if len(roles) > 1:
        return False
    if name.rpartition(".")[0] in heads:
        return ours.ndim == theirs.ndim and ours.shape[1:] == theirs.shape[1:]
    sees_grey = is_stem and ours.ndim == theirs.ndim == 4 and ours.shape[1] == 1
    return ours.shape == theirs.shape or (sees_grey and ours[:, 0].shape == theirs[:, 0].shape)
