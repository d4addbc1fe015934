"""Tensors of which each process holds a part, and those that it holds whole. Nothing here imports what makes them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def whole(tensor: Tensor) -> Tensor:
    """All of it: gathered from all ranks, which all take part, where each holds a part."""
    found: Tensor = getattr(tensor, "full_tensor", lambda: tensor)()
    return found


def gathered(tensor: Tensor) -> Tensor:
    """All of it, to be kept: where each holds a part, in the memory of the CPU, since a device may not hold it all."""
    return whole(tensor).cpu() if is_sharded(tensor) else tensor


def part(tensor: Tensor) -> Tensor:
    """What this process holds of it, in the same memory."""
    found: Tensor = getattr(tensor, "to_local", lambda: tensor)()
    return found


def like(content: Tensor, held: Tensor) -> Tensor:
    """The content as the other tensor is held: this process's part of it, or all."""
    if not is_sharded(held):
        return content
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = held.device_mesh, held.placements  # type: ignore[attr-defined]
    return distribute_tensor(content.to(held.device), mesh, placements, src_data_rank=None)


def weights_of(model: nn.Module) -> dict[str, Any]:
    """Its state dict, of whole tensors: all ranks take part."""
    weights = model.state_dict()
    for name, tensor in weights.items():
        weights[name] = gathered(tensor)
    return weights


def load_weights(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Loads a state dict of whole tensors; each process the part that it holds."""
    held = model.state_dict()
    parts = {name: like(tensor, held[name]) if name in held else tensor for name, tensor in weights.items()}
    model.load_state_dict(parts if any(map(is_sharded, held.values())) else weights)


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor of torch's, whose import an ordinary run need not pay."""
    return hasattr(tensor, "full_tensor")
