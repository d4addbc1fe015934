"""The fit of a linear layer, beside scikit-learn's logistic regression."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from trainer.engine.linear import STRENGTHS, Fitted, Linear, fit_layer, minimise
from trainer.loss.cross_entropy import cross_entropy

CLASSES = ["cat", "dog", "hen"]
LEAST = {"tol": 1e-10, "max_iter": 10_000}


def samples(count: int = 150, width: int = 6, views: int = 1) -> tuple[Tensor, Tensor]:
    """(V, N, D) float32 of features that differ in mean and scale, and (N,) labels that they tell in part."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (count,), generator=generator)
    centres = torch.randn(3, width, generator=generator)
    features = centres[labels] + 1.5 * torch.randn(views, count, width, generator=generator)
    return features * torch.logspace(-1, 1, width) + torch.arange(width), labels


def held_out(count: int) -> Tensor:
    return torch.arange(0, count, 5)


def zeros(width: int, classes: int = 3) -> Linear:
    return Linear(torch.zeros(classes, width, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64))


@pytest.mark.parametrize("l2", [1e-3, 0.1])
@pytest.mark.parametrize("weights", ["none", {"cat": 3.0, "hen": 0.5}])
def test_the_layer_with_the_least_loss_is_that_of_scikit_learn(l2: float, weights: str | dict[str, float]) -> None:
    views, labels = samples()
    ours = minimise(views.double(), labels, cross_entropy(labels, CLASSES, class_weights=weights), l2, zeros(6))
    by_class = np.array([weights.get(name, 1.0) if isinstance(weights, dict) else 1.0 for name in CLASSES])
    each = by_class[labels.numpy()]
    theirs = LogisticRegression(C=1 / (2 * l2 * each.sum()), **LEAST).fit(views[0].double(), labels, sample_weight=each)
    assert np.allclose(ours.weight, theirs.coef_, atol=1e-4)
    centred = (bias - bias.mean() for bias in (ours.bias.numpy(), theirs.intercept_))  # the same for all says nothing
    assert np.allclose(*centred, atol=1e-4)


@pytest.mark.parametrize("width", [6, 200])  # fewer features than samples, and more
def test_l2_is_chosen_as_a_search_by_scikit_learn_on_standardised_features_chooses_it(width: int) -> None:
    views, labels = samples(width=width)
    out = held_out(150).numpy()
    fitted = fit_layer(views, labels, held_out(150), cross_entropy(labels, CLASSES))
    rows, classes = StandardScaler().fit_transform(views[0].double()), labels.numpy()
    stays = np.delete(np.arange(150), out)
    losses = {}
    for l2 in STRENGTHS:
        model = LogisticRegression(C=1 / (2 * l2 * len(stays)), **LEAST).fit(rows[stays], classes[stays])
        losses[l2] = log_loss(classes[out], model.predict_proba(rows[out]))
    assert fitted.l2 == min(losses, key=losses.__getitem__)
    assert fitted.held_out_loss == pytest.approx(losses[fitted.l2], abs=1e-4)
    whole = LogisticRegression(C=1 / (2 * fitted.l2 * 150), **LEAST).fit(rows, classes)
    shares = fitted.layer(views[0].double()).softmax(1)
    assert np.allclose(shares, whole.predict_proba(rows), atol=1e-4)


@pytest.mark.slow
def test_l2_of_a_layer_that_takes_the_features_as_they_are_does_not_depend_on_their_scale() -> None:
    views, labels = samples()
    criterion = cross_entropy(labels, CLASSES)
    fits = [fit_layer(each, labels, held_out(150), criterion) for each in (views, 100 * views + 7)]
    logits = [fit.layer(each[0].double()) for fit, each in zip(fits, (views, 100 * views + 7), strict=True)]
    assert torch.allclose(*logits, atol=1e-3) and fits[0].l2 == fits[1].l2


def test_smoothing_acts_as_in_training() -> None:
    views, labels = samples()
    plain, smooth = (
        minimise(views.double(), labels, cross_entropy(labels, CLASSES, smoothing=each), 1e-3, zeros(6))
        for each in (0, 0.2)
    )
    spread = (1 - 0.2) * torch.eye(3, dtype=torch.float64)[labels] + 0.2 / 3
    softened = smooth(views[0].double()).softmax(1).mean(0)
    assert torch.allclose(softened, spread.mean(0), atol=1e-6)  # where the free bias is best
    assert smooth.weight.abs().max() < plain.weight.abs().max()


@pytest.mark.slow
def test_ignored_samples_say_nothing() -> None:
    views, labels = samples()
    some = labels.clone()
    some[100:] = -1
    criterion = cross_entropy(labels, CLASSES)
    with_them, without = (
        minimise(each.double(), known, criterion, 0.01, zeros(6))
        for each, known in ((views, some), (views[:, :100], labels[:100]))
    )
    assert torch.allclose(with_them.weight, without.weight, atol=1e-6)


@pytest.mark.slow
def test_views_count_as_samples_and_an_image_is_held_out_with_all_of_its_views() -> None:
    views, labels = samples(views=3)
    criterion, out = cross_entropy(labels, CLASSES), held_out(150)
    doubled = fit_layer(views[:1].repeat(2, 1, 1), labels, out, criterion)
    once = fit_layer(views[:1], labels, out, criterion)
    assert torch.allclose(doubled.layer.weight, once.layer.weight, atol=1e-6)
    crossed = views.clone()
    crossed[1:, out] = views[1:, out].roll(1, dims=1)  # the augmented views of what is held out, under wrong labels
    fits = [fit_layer(each, labels, out, criterion) for each in (views, crossed)]
    assert fits[0].held_out_loss == pytest.approx(fits[1].held_out_loss, abs=1e-6)
    assert not torch.allclose(fits[0].layer.weight, fits[1].layer.weight, atol=1e-3)  # in the end all are fitted to


def test_features_that_never_change_get_no_weight() -> None:
    views, labels = samples()
    views[:, :, 2] = 5.0
    fitted = fit_layer(views, labels, held_out(150), cross_entropy(labels, CLASSES))
    assert not fitted.layer.weight[:, 2].any() and fitted.layer.weight.isfinite().all()


def test_the_same_features_give_the_same_bits() -> None:
    def fit() -> Fitted:
        views, labels = samples(views=2)
        return fit_layer(views, labels, held_out(150), cross_entropy(labels, CLASSES))

    one, other = fit(), fit()
    assert torch.equal(one.layer.weight, other.layer.weight) and torch.equal(one.layer.bias, other.layer.bias)
    assert (one.l2, one.held_out_loss) == (other.l2, other.held_out_loss)
