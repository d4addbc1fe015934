"""What the layers give out before the first step, and what they are made of."""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from trainer.doctor.finding import Finding, Severity
from trainer.model.probe import Values
from trainer.report.inspection import hidden

_FAR = 10.0
"""Times by which the spread of the values may fall or grow from the first hidden layer to the last."""
_MANY_DEAD, _MANY_SATURATED = 0.5, 0.5
_DEEP = {"Sigmoid": 3, "Tanh": 8}
"""Layers from which on this activation is called deep: a sigmoid passes a quarter of a gradient at most, a tanh all."""
_BOUNDED = ("Tanh", "Sigmoid")
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def has_norms(model: nn.Module) -> bool:
    """Whether any layer of the model brings its values back to one scale."""
    return any(isinstance(module, _NORMS) for module in model.modules())


def of_values(layers: Sequence[Values], model: Mapping[str, Any], init: str, *, learns: bool) -> Iterator[Finding]:
    """Whether the signal passes: layers as model.probe measures them; model: the options of its part.

    Of a network that is drawn: what trained weights give out, they were trained to. learns: whether the network was
    seen to learn all the same, so that nothing is wrong but slow.
    """
    severity: Severity = "note" if learns else "warning"
    shown = hidden(layers)
    broken = next((values for values in layers if not math.isfinite(values.mean + values.std)), None)
    if broken is not None:
        yield not_finite(f"behind layer {broken.name}, mean {broken.mean:g}, std {broken.std:g}")
        return
    first, last, words = shown[0], shown[-1], _other_start(shown, model, init)
    spread = f"std {first.std:.2g} behind layer {first.name}, {last.std:.2g} behind layer {last.name}"
    if last.std == 0:
        what = "The last hidden layer gives the same value for every image: there is nothing to tell them apart by."
        yield Finding("constant_layers", "fault", what, spread, 0.95, words, practice="X3")
        return
    dead = [values for values in shown if values.dead is not None]
    if dead and fmean(values.dead or 0 for values in dead) > _MANY_DEAD:
        worst = max(dead, key=lambda values: values.dead or 0)
        what = "Most units give 0 for every image before anything is learnt: no gradient reaches them."
        evidence = f"{fmean(values.dead or 0 for values in dead):.0%} of the units of a layer on average, "
        evidence += f"{worst.dead:.0%} behind layer {worst.name}"
        yield Finding("dead_units", severity, what, evidence, 0.8, words, practice="X3")
    flat = max(shown, key=lambda values: values.saturated or 0)
    if (flat.saturated or 0) > _MANY_SATURATED:
        what = f"{flat.activation} is flat where most values lie: hardly any gradient passes."
        evidence = f"{flat.saturated:.0%} of the values behind layer {flat.name} lie where the slope is below a tenth"
        yield Finding("saturated_layers", severity, what, evidence, 0.8, words, practice="X7")
    if last.std * _FAR < first.std:
        what = "The signal fades from layer to layer: the last ones see hardly a difference between images."
        yield Finding("vanishing_values", severity, what, spread, 0.8, words, practice="X3")
    if last.std > first.std * _FAR:
        what = "The signal grows from layer to layer: first steps are large and wild."
        yield Finding("exploding_values", severity, what, spread, 0.8, words, practice="X3")


def not_finite(evidence: str) -> Finding:
    """Before anything is learnt, values are no numbers."""
    what = "Before the first step the network gives values that are no finite numbers: it cannot learn."
    advice = "Look at the images (python -m trainer preview) and at what model.weights holds; or say precision=fp32."
    return Finding("not_finite", "fault", what, evidence, 1.0, advice=advice, practice="X3")


def of_made(
    layers: Sequence[Values], model: Mapping[str, Any], init: str, biased: Sequence[str], *, normed: bool
) -> Iterator[Finding]:
    """What does not go together in a network, whatever it gives out; biased: layers whose bias a norm takes away."""
    activated = [values.activation for values in layers if values.activation]
    if init.startswith("xavier") and any(name not in _BOUNDED for name in activated):
        kind = next(name for name in activated if name not in _BOUNDED)
        what = f"Xavier's initialisation is for tanh: behind {kind} the variance halves from layer to layer."
        evidence = f"init={init}, {len(activated)} layers with an activation, {'with' if normed else 'no'} norms"
        severity: Severity = "note" if normed or len(activated) < _DEEP["Sigmoid"] else "warning"
        words = f"init={init.replace('xavier', 'he')}"
        yield Finding("relu_with_xavier", severity, what, evidence, 0.7, words, practice="X7")
    for kind, deep in _DEEP.items():
        count = activated.count(kind)
        if count >= deep and 2 * count > len(activated):  # fewer are gates beside the way, as of squeeze-and-excitation
            what = f"{kind} deep in a network: each layer makes the gradient smaller, and the first ones learn last."
            evidence = f"{count} layers of {kind}, {'with' if normed else 'no'} norms"
            words = "model.activation=relu" if "activation" in model else ""
            severity = "note" if normed else "warning"
            yield Finding("deep_sigmoid", severity, what, evidence, 0.8, words, practice="X7")
    if biased:
        more = f" and {len(biased) - 3} more" if len(biased) > 3 else ""
        what = "A bias before batch norm does nothing: the norm subtracts it with the mean."
        evidence = f"{len(biased)} layers: {', '.join(biased[:3])}{more}"
        advice = "Build these layers with bias=False; it costs no accuracy to leave them."
        yield Finding("bias_before_norm", "note", what, evidence, 0.95, advice=advice, practice="X7")


def biased_before_norm(model: nn.Module, images: Tensor) -> list[str]:
    """The layers, by name, with a bias that a batch norm right behind them takes away. A copy runs on the images."""
    copy = deepcopy(model).eval()
    names = {module: name for name, module in copy.named_modules()}
    given: list[tuple[nn.Module, Tensor]] = []
    found: list[str] = []

    def give(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        given[:] = [(module, output)]

    def take(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if given and inputs[0] is given[0][1] and given[0][0].bias is not None:
            found.append(names[given[0][0]])

    for module in names:
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(give)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(take)
    with torch.no_grad():
        copy(images)
    return found


def _other_start(shown: Sequence[Values], model: Mapping[str, Any], init: str) -> str:
    """The words for a start that lets the signal pass, of a network that is drawn."""
    bounded = sum(values.activation in _BOUNDED for values in shown) > len(shown) / 2
    suited = "xavier_normal" if bounded else "he_normal"
    if model.get("batch_norm") is False:
        return "model.batch_norm=true"
    return f"init={suited if init not in (suited, suited.replace('normal', 'uniform')) else 'lsuv'}"
