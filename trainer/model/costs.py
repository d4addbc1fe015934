"""What each layer of a network holds, gives and costs, counted while real images run through it."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainer.model.staged import evaluating


@dataclass(frozen=True)
class Layer:
    """A layer as it ran: shape of its output for one image, its own parameters, its multiply-adds for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def layers_of(model: nn.Module, images: Tensor) -> list[Layer]:
    """The layers in the order in which they run, for images (B, C, H, W).

    Listed is what holds parameters, costs multiply-adds or changes the shape; an activation does none of these. The
    parameters add up to those of the model (a layer that runs twice has them once; what never runs comes last, without
    a shape), the multiply-adds to those of the whole: of convolutions, linear layers and attention, as all others do
    little. The model is left as it was.
    """
    found: list[Layer] = []
    names = {module: name for name, module in model.named_modules()}
    counted: set[nn.Parameter] = set()
    begun: list[int] = []
    inside = [0]  # for the module under way: the cost of what ran inside it

    def own_parameters(module: nn.Module) -> int:
        own = [each for each in module.parameters(recurse=False) if each not in counted]
        counted.update(own)
        return sum(each.numel() for each in own)

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        begun.append(counter.get_total_flops())
        inside.append(0)

    def after(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        total = counter.get_total_flops() - begun.pop()
        own = total - inside.pop()
        inside[-1] += total
        shape = _shape(output)
        is_leaf = not any(True for _ in module.children())
        layer = Layer(names[module], type(module).__name__, shape, own_parameters(module), own // (2 * len(images)))
        if layer.parameters or layer.multiply_adds or (is_leaf and shape != _shape(inputs[0] if inputs else None)):
            found.append(layer)

    hooks = [module.register_forward_pre_hook(before) for module in names]
    hooks += [module.register_forward_hook(after) for module in names]
    counter = FlopCounterMode(display=False)
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # it and the fused kernels hide their products from the counter
        with torch.no_grad(), evaluating(model), sdpa_kernel(SDPBackend.MATH), counter:
            model(images)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        for hook in hooks:
            hook.remove()
    idle = [Layer(name, type(module).__name__, (), own_parameters(module), 0) for module, name in names.items()]
    return [
        replace(layer, name=layer.name or "(model)") for layer in [*found, *idle] if layer in found or layer.parameters
    ]


def _shape(output: object) -> tuple[int, ...]:
    """Of one image. A module that gives several tensors, as attention does, is known by its first."""
    if isinstance(output, tuple) and output:
        output = output[0]
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
