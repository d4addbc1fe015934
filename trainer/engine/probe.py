"""The head of a network, fitted to what its frozen body makes of the training images: seconds instead of epochs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.engine.interrupt import Interrupt
from trainer.engine.linear import STRENGTHS, Fitted, fit_layer
from trainer.engine.metrics import sums_of
from trainer.engine.state import State
from trainer.errors import DivergedError
from trainer.loss.criterion import Criterion


@dataclass(frozen=True)
class Features:
    """What a body makes of the training images: views (V, N, D), float32 on the CPU, the first of the images as they
    are. origin: where they come from, for a person."""

    views: Tensor
    origin: str


@dataclass(frozen=True)
class Probe:
    """How a run fits its head before its first step."""

    layer: str
    """The name of the last layer."""
    features: Callable[[nn.Module, Interrupt], Features]
    """Of a model with the weights that the run begins with."""
    labels: Tensor
    """Of the N training images."""
    held_out: Tensor
    """(M,) those of the images by which L2 is chosen."""
    alone: bool
    """Whether the run is this fit, and nothing else is learnt."""


@dataclass(frozen=True)
class Probed:
    """What a probe came to. sums: of the training images as they are, as a step sums them."""

    fitted: Fitted
    features: Features
    sums: Tensor


def probe(state: State, how: Probe, criterion: Criterion, interrupt: Interrupt) -> Probed:
    """Fits the head of the model, and of its average where there is one.

    It depends on the body's weights and the images alone: so a run that begins again begins with the same bits.
    Raises DivergedError if the features are not finite.
    """
    features, criterion = how.features(state.model, interrupt), criterion.to(torch.device("cpu"))
    if not features.views.isfinite().all():
        raise DivergedError("What the body makes of the images are no finite numbers.", "Try precision=fp32.")
    fitted = fit_layer(features.views, how.labels, how.held_out, criterion, interrupt.watch(STRENGTHS))
    for model in filter(None, (state.model, state.averaged)):
        last = model.get_submodule(how.layer)
        last.load_state_dict({"weight": fitted.layer.weight, "bias": fitted.layer.bias})
    logits = fitted.layer(features.views[0].double())
    loss, weight = criterion.losses(logits, how.labels).sum(), criterion.weights(how.labels).sum()
    sums = sums_of(loss, weight, logits, how.labels, criterion.task)
    return Probed(fitted, features, sums.to(state.sums))
