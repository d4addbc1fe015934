"""A linear layer fitted to features by L-BFGS, its L2 chosen on samples held out: multinomial logistic regression."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import LBFGS

from trainer.loss.criterion import Criterion, reduce
from trainer.optim.uncompiled import uncompiled

STRENGTHS = tuple(10 ** (-half / 2) for half in range(9))
"""Of L2, from 1 down to 1e-4: each fit begins where the one before ended, which is near."""
_MOST_STEPS, _REMEMBERED = 1000, 20
_EXACT, _NEAR = 1e-8, 1e-6
"""Slopes down to which a fit goes on. Strengths are compared by fits that are near: half the time."""
_STILL = 1e-14
"""What the loss falls by in a step that ends any fit: for losses with an edge, on which no slope is small."""
_CONSTANT = 1e-6
"""Share of the largest deviation up to which a feature is held to be constant: its noise is not to be blown up."""


@dataclass(frozen=True)
class Linear:
    """A linear layer: weight (C, D) and bias (C,), float64."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> logits (N, C)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Fitted:
    """The layer that was found, the L2 that was chosen, and what a layer fitted without them lost on those held out."""

    layer: Linear
    l2: float
    held_out_loss: float


def fit_layer(
    views: Tensor, labels: Tensor, held_out: Tensor, criterion: Criterion, strengths: Iterable[float] = STRENGTHS
) -> Fitted:
    """The linear layer with the least loss + L2 * the sum of its squared weights; the bias is free.

    views: (V, N, D), each a set of samples with the labels (N,). L2 acts on the weights of standardised features, which
    the layer takes as they are. It is the one of the strengths at which a fit without the samples held out, (M,), loses
    least on their first view. The same input gives the same bits.
    """
    rows = views.double()
    mean = rows.mean((0, 1))
    deviation = rows.std((0, 1), correction=0)
    deviation = torch.where(deviation > _CONSTANT * deviation.max(), deviation, 1.0)
    rows, basis = spanned((rows - mean) / deviation)
    stays = torch.ones(len(labels), dtype=torch.bool)
    stays[held_out] = False
    layer = Linear(*(rows.new_zeros(len(criterion.class_weights), *sides) for sides in ((rows.shape[2],), ())))
    tried, kept = [], rows[:, stays]
    for l2 in strengths:
        layer = minimise(kept, labels[stays], criterion, l2, layer, _NEAR)
        tried.append((float(loss_of(layer, rows[:1, held_out], labels[held_out], criterion)), l2, layer))
    held_out_loss, l2, layer = min(tried, key=lambda each: each[0])
    layer = minimise(rows, labels, criterion, l2, layer)
    weight = layer.weight @ basis.T / deviation
    return Fitted(Linear(weight, layer.bias - weight @ mean), l2, held_out_loss)


def spanned(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (V, N, K) in an orthonormal basis (D, K) of what they span, where they are fewer than their D features.

    To L2 it is the same: the best weights lie in what the rows span, and turning them leaves the sum of their squares.
    Of 320 rows of 1,280 features the fit then takes less than half of the time.
    """
    count, width = rows.shape[0] * rows.shape[1], rows.shape[2]
    if count >= width:
        return rows, torch.eye(width, dtype=rows.dtype)
    basis = torch.linalg.qr(rows.flatten(0, 1).T).Q
    return rows @ basis, basis


def minimise(
    views: Tensor, labels: Tensor, criterion: Criterion, l2: float, start: Linear, slope: float = _EXACT
) -> Linear:
    """The layer with the least loss + l2 * the sum of its squared weights, found from the start on.

    slope: of the loss along any weight, down to which it goes on.
    """
    layer = Linear(*(each.clone().requires_grad_() for each in (start.weight, start.bias)))
    optimizer = uncompiled(LBFGS)(
        [layer.weight, layer.bias],
        max_iter=_MOST_STEPS,
        history_size=_REMEMBERED,
        tolerance_grad=slope,
        tolerance_change=_STILL,
        line_search_fn="strong_wolfe",
    )

    def penalised() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(layer, views, labels, criterion) + l2 * layer.weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(penalised)
    return Linear(layer.weight.detach(), layer.bias.detach())


def loss_of(layer: Linear, views: Tensor, labels: Tensor, criterion: Criterion) -> Tensor:
    """The criterion's loss of all views together, as a step of training reduces it. views: (V, N, D); labels: (N,)."""
    labels = torch.cat([labels] * len(views))
    loss = criterion.losses(layer(views.flatten(0, 1)), labels).sum()
    return reduce(loss, criterion.weights(labels).double().sum())
