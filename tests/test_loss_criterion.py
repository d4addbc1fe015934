"""Losses and their reduction against torch's own and against explicit float64 sums."""

import math

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.loss.class_weights import class_weights
from trainer.loss.criterion import reduce
from trainer.loss.cross_entropy import cross_entropy
from trainer.loss.focal import focal

CLASSES = ["cat", "dog", "hen", "owl"]
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, -1])
PARTS = [cross_entropy, focal]


def batch(count=32, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 4, generator=generator, dtype=dtype)
    labels = torch.randint(-1, 4, (count,), generator=generator)
    labels[0] = -1
    return logits, labels


def loss_of(criterion, logits, targets):
    return reduce(criterion.losses(logits, targets), criterion.weights(targets).sum())


def one_hot(labels):
    rows = torch.zeros(len(labels), 4)
    rows[labels >= 0, labels[labels >= 0]] = 1
    return rows


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", {"cat": 0.5, "hen": 3.0}])
def test_cross_entropy_is_the_one_of_torch_with_weights_smoothing_and_ignored_labels(smoothing, weights):
    logits, labels = batch()
    logits.requires_grad_()
    criterion = cross_entropy(LABELS, CLASSES, smoothing=smoothing, class_weights=weights)
    vector = torch.tensor([weights.get(name, 1.0) for name in CLASSES]) if isinstance(weights, dict) else torch.ones(4)
    reference = nn.CrossEntropyLoss(vector.double(), ignore_index=-1, label_smoothing=smoothing)(logits, labels)
    ours = loss_of(criterion, logits, labels)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (ours, reference)))


def test_soft_cross_entropy_is_an_explicit_sum():
    logits, _ = batch(6)
    soft = torch.rand(6, 4, generator=torch.Generator().manual_seed(1))
    soft /= soft.sum(dim=1, keepdim=True)
    soft[2] = 0
    weights = {"cat": 0.5, "dog": 1.0, "hen": 3.0, "owl": 2.0}
    criterion = cross_entropy(LABELS, CLASSES, smoothing=0.2, class_weights=weights)
    total = weight = 0.0
    for row, target in zip(logits.tolist(), soft.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for value, share, one in zip(row, target, weights.values(), strict=True):
            wanted = 0.8 * share + (0.05 if any(target) else 0.0)
            total -= one * wanted * (value - log_sum)
            weight += one * share
    assert loss_of(criterion, logits, soft).item() == pytest.approx(total / weight, rel=1e-6)


def test_focal_loss_is_an_explicit_sum():
    logits, labels = batch()
    criterion = focal(LABELS, CLASSES, gamma=1.5, class_weights={"cat": 0.5})
    total = weight = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label >= 0:
            share = math.exp(row[label]) / sum(math.exp(value) for value in row)
            one = 0.5 if label == 0 else 1.0
            total -= one * (1 - share) ** 1.5 * math.log(share)
            weight += one
    assert loss_of(criterion, logits, labels).item() == pytest.approx(total / weight, rel=1e-6)


def test_focal_without_gamma_is_cross_entropy():
    logits, labels = batch()
    plain = cross_entropy(LABELS, CLASSES).losses(logits, labels)
    torch.testing.assert_close(focal(LABELS, CLASSES, gamma=0.0).losses(logits, labels), plain)
    assert not torch.allclose(focal(LABELS, CLASSES, gamma=1.0).losses(logits, labels), plain)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_has_a_finite_slope_where_the_model_is_certain(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0, 0.0]], requires_grad=True)
    focal(LABELS, CLASSES, gamma=gamma).losses(logits, torch.tensor([0])).sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("weights", ["none", "balanced", "effective"])
def test_labels_and_their_one_hot_rows_give_the_same(part, weights):
    logits, labels = batch()
    criterion = part(LABELS, CLASSES, class_weights=weights)
    assert torch.equal(criterion.losses(logits, labels), criterion.losses(logits, one_hot(labels)))
    assert torch.equal(criterion.weights(labels), criterion.weights(one_hot(labels)))


@pytest.mark.parametrize("part", PARTS)
def test_accumulated_micro_batches_have_the_loss_and_gradient_of_the_big_batch(part):
    logits, labels = batch()
    labels[:8] = -1  # a micro-batch that is ignored altogether: the mean of means would be wrong
    criterion = part(LABELS, CLASSES, class_weights="balanced")
    whole, parts = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss_of(criterion, whole, labels).backward()
    total = criterion.weights(labels).sum()
    for rows in torch.arange(32).split(8):
        reduce(criterion.losses(parts[rows], labels[rows]), total).backward()
    torch.testing.assert_close(parts.grad, whole.grad)
    assert whole.grad.abs().sum() > 0


@pytest.mark.parametrize("part", PARTS)
def test_a_step_whose_labels_are_all_ignored_has_loss_and_gradient_zero(part):
    logits = batch(4)[0].requires_grad_()
    loss = loss_of(part(LABELS, CLASSES), logits, torch.full((4,), -1))
    loss.backward()
    assert loss.item() == 0.0 and not logits.grad.any()


@pytest.mark.parametrize("part", PARTS)
def test_losses_are_worked_out_in_float32_even_under_autocast(part):
    logits, labels = batch(dtype=torch.float32)
    criterion = part(LABELS, CLASSES, class_weights={"cat": 1.001})
    plain = criterion.losses(logits.bfloat16().float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, weights = criterion.losses(logits.bfloat16(), labels), criterion.weights(labels)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)
    assert torch.equal(weights, criterion.weights(labels))


def test_balanced_weights_are_inverse_frequencies_with_mean_one_over_the_samples():
    weights = class_weights("balanced", LABELS, CLASSES)
    assert weights.tolist() == pytest.approx([7 / 12, 7 / 6, 7 / 3, 1.0])
    assert weights[LABELS[LABELS >= 0]].mean().item() == pytest.approx(1.0)


def test_effective_weights_follow_the_paper_with_mean_one_over_the_samples():
    labels = torch.tensor([0] * 3000 + [1] * 100)
    weights = class_weights("effective", labels, ["a", "b"])
    numbers = [(1 - 0.999**count) / (1 - 0.999) for count in (3000, 100)]
    assert (weights[1] / weights[0]).item() == pytest.approx(numbers[0] / numbers[1], rel=1e-5)
    assert weights[labels].mean().item() == pytest.approx(1.0, rel=1e-5)


def test_named_weights_leave_the_other_classes_at_one():
    assert class_weights({"hen": 4.0}, LABELS, CLASSES).tolist() == [1.0, 1.0, 4.0, 1.0]


def test_a_weight_for_an_unknown_class_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no class 'hem'. Did you mean 'hen'\? The classes are cat, dog, hen, owl"):
        class_weights({"hem": 4.0}, LABELS, CLASSES)
