"""Finds a network's tensors in a file, whatever a training program has put around them and before their names.

Mappings in mappings are written flat, so that the key of a checkpoint and the prefix of a name are one thing:
{"model_ema": {"module.fc.bias": ...}} holds 'fc.bias' under 'model_ema.module.'.
"""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from trainer.errors import CheckpointError

AVERAGED = {"averaged", "average", "ema", "swa"}
"""Words in the prefix of averaged weights, which are better than those that they follow."""
FOLLOWED = {"current", "raw"}
"""And of those that they follow: Lightning keeps averaged weights as state_dict, the others as current_model_state."""
WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and checkpointing put before a name or into its middle."""
OPTIMIZER = re.compile(r"opt|optim|.*optimi[sz]er.*|verdicts")
"""A key whose tensors are none of a network's, though an average of gradients may have the names of what it is of:
those of an optimizer, and our own notes of validation."""
DEPTH = 6
"""Mappings in mappings that are looked into. The file is a stranger's: one may hold itself."""

Tensors = Mapping[str, Tensor]
Named = tuple[dict[str, Tensor], tuple[str, ...]]
"""Tensors under the names that the network has for them; and what was chosen to get there, in words."""


def flat(content: object) -> dict[str, Tensor]:
    """The tensors in content by their dotted names, but for those of an optimizer. A mapping is read once."""
    tensors: dict[str, Tensor] = {}
    level, seen = [("", content)], set[int]()
    for _ in range(DEPTH):
        deeper: list[tuple[str, object]] = []
        for prefix, mapping in level:
            if not isinstance(mapping, Mapping) or id(mapping) in seen:
                continue
            seen.add(id(mapping))
            for key, value in mapping.items():
                name = f"{prefix}{key}"
                if isinstance(value, Tensor) and not value.is_nested:  # those have no shape to compare
                    tensors[WRAPPERS.sub("", name)] = value
                elif not OPTIMIZER.fullmatch(str(key)):
                    deeper.append((f"{name}.", value))
        level = deeper
    return tensors


def named_as(own: Tensors, tensors: Tensors, origin: str) -> Named:
    """The tensors, those of the network under the names that it has itself; and what was chosen, in words.

    Of several copies of the network the averaged one is taken; what it lacks (counters, say) comes from the others.
    What stands beside the copy, as a head beside 'backbone.', keeps its name.
    Raises CheckpointError if there are several, and nothing tells which is meant.
    """
    places = _places(own, tensors)
    enough = min(len(own), len(tensors)) / 3  # fewer are an accident; an average may lack the buffers, half of a ResNet
    copies = {prefix: copy for prefix, copy in places.items() if not prefix or len(copy) >= enough}
    if not copies:
        return dict(tensors), ()
    fullest = max(copies.values(), key=lambda copy: _agreeing(copy, own))
    alike = {prefix: copy for prefix, copy in copies.items() if _agreeing(copy, fullest) == len(copy.keys() & fullest)}
    rank = max(_rank(prefix) for prefix in alike)
    chosen = _only([prefix for prefix in alike if _rank(prefix) == rank], alike, own, origin)
    others = [prefix for prefix in alike if _rank(prefix) < rank and alike[prefix].keys() & alike[chosen]]
    named: dict[str, Tensor] = {}
    if others and not own.keys() <= alike[chosen].keys():
        named |= _with_beside(_only(others, alike, own, origin), places)
    named |= _with_beside(chosen, places)
    told = {id(tensor) for copy in (named, *(alike[prefix] for prefix in others)) for tensor in copy.values()}
    left_out = {
        name.removeprefix(chosen): tensor
        for name, tensor in tensors.items()
        if id(tensor) not in told and (tensor.ndim or name.startswith(chosen))  # a lone number elsewhere is a counter
    }
    return {**left_out, **named}, _notes(chosen, others, len(named.keys() - alike[chosen]), origin)


def best_ranked(prefixes: Sequence[str], origin: str) -> tuple[str, tuple[str, ...]]:
    """The prefix of averaged weights, or the only one there is, and what is said of it.

    Raises CheckpointError if several have equal claims.
    """
    rank = max(_rank(prefix) for prefix in prefixes)
    best = [prefix for prefix in prefixes if _rank(prefix) == rank]
    if len(best) > 1:
        raise _undecided(best, origin)
    return best[0], _notes(best[0], [prefix for prefix in prefixes if prefix != best[0]], 0, origin)


def _places(own: Tensors, tensors: Tensors) -> dict[str, dict[str, Tensor]]:
    """The tensors that end in a name of the network, by what stands before it."""
    depths = {name.count(".") + 1 for name in own}
    places: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        words = name.rsplit(".", max(depths))
        for depth in depths:
            ending = ".".join(words[-depth:])
            if ending in own:
                places.setdefault(name[: len(name) - len(ending)], {})[ending] = tensor
    return places


def _with_beside(prefix: str, places: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """The copy under prefix, with what stands beside it, further out, under names of the network."""
    named: dict[str, Tensor] = {}
    for outer in sorted((place for place in places if prefix.startswith(place)), key=len):
        named |= places[outer]
    return named


def _agreeing(tensors: Tensors, own: Tensors) -> int:
    return sum(name in own and own[name].shape == tensor.shape for name, tensor in tensors.items())


def _rank(prefix: str) -> int:
    words = set(re.split(r"[^a-z]+", prefix.lower()))
    return 1 if words & AVERAGED else -1 if words & FOLLOWED else 0


def _only(prefixes: Sequence[str], copies: Mapping[str, Tensors], own: Tensors, origin: str) -> str:
    """The one whose tensors agree best, or of those that agree as well the outermost. Raises CheckpointError."""
    most = max(_agreeing(copies[prefix], own) for prefix in prefixes)
    best = [prefix for prefix in prefixes if _agreeing(copies[prefix], own) == most]
    outermost = min(best, key=len)
    if not all(prefix.startswith(outermost) for prefix in best):
        raise _undecided(best, origin)
    return outermost


def _undecided(prefixes: Sequence[str], origin: str) -> CheckpointError:
    return CheckpointError(
        f"weights: {origin} holds this network {len(prefixes)} times, {_shown(prefixes)}, and nothing tells which is "
        "meant. Save the tensors of one of them alone, and name that file."
    )


def _notes(chosen: str, others: Sequence[str], lacking: int, origin: str) -> tuple[str, ...]:
    if not others:
        return ()
    but = f" (but for {lacking} that are only there)" if lacking else ""
    return (
        f"weights: {origin} holds averaged weights beside others: those {_shown([chosen])} are taken, "
        f"not those {_shown(others)}{but}",
    )


def _shown(prefixes: Sequence[str]) -> str:
    return " and ".join(f"under '{prefix.removesuffix('.')}'" if prefix else "without a prefix" for prefix in prefixes)
