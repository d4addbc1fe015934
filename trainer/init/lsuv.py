"""Initialisation that looks at data: layer-sequential unit variance."""

from typing import Any

import torch
from torch import Tensor, nn

from trainer.init.layers import weighted_layers, zero_bias
from trainer.registry import INITS

CONSTANT = 1e-6
"""A smaller std than this means that the layer's input is constant: everything before it was already scaled to 1."""


@INITS.register
def lsuv(model: nn.Module, batch: Tensor) -> None:
    """Orthonormal weights, then each layer scaled so that its output on a real batch has mean 0 and variance 1.

    Mishkin and Matas 2015, "All you need is a good init", section 2. The mean is taken out through the bias, so a layer
    without one (before a norm, which takes the mean out anyway) gets the variance only. Layers are taken in the order
    in which they run, in ONE forward pass: each is scaled just before it runs, so its followers see its final output.
    A layer is affine, so one step is exact where the paper iterates. Layers with constant output (behind a norm that
    starts at zero) keep the orthonormal start. The model runs in training mode; its modes and its buffers (the running
    statistics of batch norm) are put back.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    done: set[nn.Module] = set()

    def scale_once(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if layer not in done:  # a layer that runs twice is scaled for its first run
            done.add(layer)
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            _scale(layer, inputs[0])

    hooks = [layer.register_forward_pre_hook(scale_once) for layer in weighted_layers(model)]
    try:
        with torch.no_grad():
            model.train()(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])


def _scale(layer: nn.Conv2d | nn.Linear, inputs: Tensor) -> None:
    layer.weight.copy_(
        nn.init.orthogonal_(torch.empty_like(layer.weight, device="cpu"))
    )  # older releases: no QR on mps
    zero_bias(layer)
    std, mean = torch.std_mean(layer.forward(inputs), correction=0)
    if std <= CONSTANT:
        return
    layer.weight.div_(std)
    if layer.bias is not None:
        layer.bias.sub_(mean / std)
