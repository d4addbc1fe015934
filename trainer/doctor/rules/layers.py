"""Rules on what happens within the network."""

from trainer.doctor.finding import Finding
from trainer.doctor.history import History, Layer
from trainer.doctor.reading import enough, has_batch_norm, held, last_with, learnt, said

DEAD = 0.9
"""Share of a layer's units that are zero for every picture: hardly anything passes."""
FADED = 1e-3
"""Standard deviation of a layer's activations, as a share of the first layer's."""
HUGE = 1e3
"""Standard deviation of a layer's activations: beyond what a loss can be steered by."""
POOR = 0.5
"""Of the way from chance to 1: below it, what is odd within is taken for the cause."""
DEEP = 5
"""Layers with sigmoid or tanh one behind the other, each of which passes a quarter of the gradient at most."""
TINY_BATCH = 4
SMALL_BATCH = 8
"""Pictures that batch norm takes its mean and variance from: of so few they are mostly noise."""


def sigmoid_in_depth(history: History) -> Finding | None:
    """X7: sigmoid or tanh deep in a network: the gradient fades on its way to the first layers."""
    activation, depth = said(history, "model.activation"), said(history, "model.depth")
    if activation not in ("sigmoid", "tanh") or not enough(history) or not _is_poor(history):
        return None
    layers = int(depth) * (len(said(history, "model.widths") or [0]) or 1) if isinstance(depth, int) else DEEP
    if layers < DEEP:
        return None
    return Finding(
        rule="sigmoid_in_depth",
        severity="fault",
        what=f"The gradient fades in depth: each {activation} passes a part of it, the first layers get hardly any.",
        evidence=f"{layers} layers with {activation}; training came {_came(history)} of the way from chance",
        confidence=0.9,
        words="model.activation=relu",
        practice="X7",
    )


def dead_units(history: History) -> Finding | None:
    """I8: units that are zero for every picture get no gradient, and stay so."""
    dead = [layer for layer in _layers(history) if layer.dead >= DEAD]
    if not dead or not enough(history) or not _is_poor(history):
        return None
    worst = max(dead, key=lambda layer: layer.dead)
    return Finding(
        rule="dead_units",
        severity="fault",
        what=f"Most units of {worst.name} are dead: zero whatever the picture, so that nothing passes them.",
        evidence=f"{worst.dead:.0%} of the units of {worst.name} are zero for every image of a fixed batch",
        confidence=0.7,
        words="model.activation=leaky_relu" if said(history, "model.activation") == "relu" else "init=he_normal",
        practice="I8",
    )


def activations_vanish(history: History) -> Finding | None:
    """I2, X7: each layer makes less of what it is given, until nothing is left."""
    layers = _layers(history)
    if len(layers) < 2 or not enough(history) or not _is_poor(history):
        return None
    faded = [layer for layer in layers[1:] if layer.std < FADED * max(layers[0].std, FADED)]
    if not faded:
        return None
    return Finding(
        rule="activations_vanish",
        severity="fault",
        what="Activations vanish in depth: the later layers see hardly any difference between pictures.",
        evidence=f"std {layers[0].std:.2g} after {layers[0].name}, {faded[0].std:.2g} after {faded[0].name}",
        confidence=0.75,
        words="init=lsuv" if said(history, "init.name") != "lsuv" else "model.batch_norm=true",
        practice="I2",
    )


def activations_explode(history: History) -> Finding | None:
    """I3: each layer makes more of what it is given."""
    huge = [layer for layer in _layers(history) if layer.std > HUGE]
    if not huge or not enough(history) or not _is_poor(history):
        return None
    return Finding(
        rule="activations_explode",
        severity="fault",
        what="Activations explode in depth.",
        evidence=f"std {huge[0].std:.2g} after {huge[0].name}",
        confidence=0.6,
        words="init=lsuv",
        practice="I3",
    )


def tiny_batches(history: History) -> Finding | None:
    """M6: batch norm takes its statistics from the batch; of a few pictures they are mostly noise."""
    batch = said(history, "batch_size")
    if not isinstance(batch, int) or not 1 <= batch <= SMALL_BATCH or not has_batch_norm(history):
        return None
    return Finding(
        rule="tiny_batches",
        severity="warning" if batch <= TINY_BATCH else "note",
        what="Batch norm works on tiny batches: its means and variances are mostly noise.",
        evidence=f"batch_size={batch}; accumulate does not help it",
        confidence=0.9,
        words="batch_size=32",
        practice="M6",
    )


def _layers(history: History) -> list[Layer]:
    last = last_with(history, lambda epoch: epoch.vitals.layers)
    return list(last.vitals.layers) if last else []


def _is_poor(history: History) -> bool:
    found = [share for share in (learnt(history), held(history)) if share is not None]
    return bool(found) and min(found) < POOR


def _came(history: History) -> str:
    share = learnt(history)
    return "an unknown part" if share is None else f"{max(0.0, share):.0%}"
