"""Class-activation maps: where in a picture the network saw what it answered."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainer.model.staged import evaluating

_LEAST_SIDE = 4
"""Of a feature map, in cells: a coarser one points nowhere."""


def class_activation_maps(model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor | None:
    """(B, H, W) in [0, 1] on the CPU: how much each place of the images spoke for the class; 1 is the most in each.

    Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) on the last feature map of the stages that has at least 4 x 4
    cells; None where the network has none, as one without convolutions. images: (B, C, H, W), normalised, on the
    model's device. classes: one for each image. All 0 where nothing spoke for the class.
    """
    maps: list[Tensor] = []

    def note(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and min(output.shape[-2:]) >= _LEAST_SIDE:
            maps[:] = [output]

    with evaluating(model), torch.enable_grad(), ExitStack() as stack:
        for module in _within(model):
            handle = module.register_forward_hook(note)
            stack.callback(handle.remove)
        logits = model(images.detach().clone().requires_grad_(True))  # the weights may be frozen: the pixels are not
        if not maps:
            return None
        wanted = logits[torch.arange(len(images)), torch.as_tensor(classes, device=logits.device)].sum()
        (gradient,) = torch.autograd.grad(wanted, maps[0])
    importance = gradient.float().mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
    seen = (importance * maps[0].detach().float()).sum(dim=1, keepdim=True).relu()
    whole = interpolate(seen, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    highest = whole.amax(dim=(1, 2), keepdim=True)
    return (whole / highest.clamp_min(torch.finfo(whole.dtype).tiny)).cpu()


def _within(model: nn.Module) -> list[nn.Module]:
    """All modules behind the stem, each once: that of a transformer only cuts the picture up."""
    stages: list[nn.Module] = model.stages[1:]  # type: ignore[index,assignment]
    return list(dict.fromkeys(module for stage in stages for module in stage.modules()))
