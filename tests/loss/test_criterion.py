"""Losses and their reduction against torch's own and against explicit float64 sums."""

import math

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.loss.binary_cross_entropy import binary_cross_entropy
from trainer.loss.class_weights import class_weights, shown
from trainer.loss.criterion import reduce
from trainer.loss.cross_entropy import cross_entropy
from trainer.loss.focal import focal
from trainer.loss.l1 import l1
from trainer.loss.mse import mse

CLASSES = ["cat", "dog", "hen", "owl"]
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, -1])
PARTS = [cross_entropy, focal, binary_cross_entropy, l1, mse]


def batch(count=32, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 4, generator=generator, dtype=dtype)
    labels = torch.randint(-1, 4, (count,), generator=generator)
    labels[0] = -1
    return logits, labels


def loss_of(criterion, logits, targets):
    return reduce(criterion.losses(logits, targets).sum(), criterion.weights(targets).sum())


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
        reduce(criterion.losses(parts[rows], labels[rows]).sum(), total).backward()
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


WEIGHTS = {"cat": 0.5, "dog": 1.0, "hen": 3.0, "owl": 2.0}


def explicit(rows, labels, of_sample):
    """The weighted mean of a loss written out for one sample: (logits, one-hot) -> loss, in plain Python."""
    total = weight = 0.0
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        if label >= 0:
            one = list(WEIGHTS.values())[label]
            total += one * of_sample(row, [float(index == label) for index in range(4)])
            weight += one
    return total / weight


def softmax(row):
    return [math.exp(value) / sum(math.exp(each) for each in row) for value in row]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_is_an_explicit_sum_and_the_one_of_torch(smoothing):
    logits, labels = batch()

    def of_sample(row, target):
        wanted = [(1 - smoothing) * share + smoothing / 4 for share in target]
        chances = [1 / (1 + math.exp(-value)) for value in row]
        return -sum(t * math.log(p) + (1 - t) * math.log(1 - p) for t, p in zip(wanted, chances, strict=True))

    weighted = binary_cross_entropy(LABELS, CLASSES, smoothing=smoothing, class_weights=WEIGHTS)
    assert loss_of(weighted, logits, labels).item() == pytest.approx(explicit(logits, labels, of_sample), rel=1e-6)
    kept = labels >= 0
    target = one_hot(labels)[kept].double() * (1 - smoothing) + smoothing / 4
    reference = nn.BCEWithLogitsLoss(reduction="sum")(logits[kept], target) / kept.sum()
    ours = loss_of(binary_cross_entropy(LABELS, CLASSES, smoothing=smoothing), logits, labels)
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("part", [binary_cross_entropy, cross_entropy])
def test_an_extreme_logit_has_a_finite_loss_and_slope(part):
    logits = torch.tensor([[1e4, -1e4, 0.0, 1e4]], requires_grad=True)
    loss = part(LABELS, CLASSES).losses(logits, torch.tensor([1])).sum()
    loss.backward()
    assert 9e3 < loss.item() < 1e5 and logits.grad.isfinite().all()


@pytest.mark.parametrize("of", ["probabilities", "logits"])
@pytest.mark.parametrize(
    ("part", "distance", "of_torch"), [(mse, lambda x: x * x, nn.MSELoss), (l1, abs, nn.L1Loss)], ids=["mse", "l1"]
)
def test_differences_are_explicit_sums_and_those_of_torch(part, distance, of_torch, of):
    logits, labels = batch()

    def of_sample(row, target):
        outputs = softmax(row) if of == "probabilities" else row
        return sum(distance(output - share) for output, share in zip(outputs, target, strict=True))

    weighted = part(LABELS, CLASSES, of=of, class_weights=WEIGHTS)
    assert loss_of(weighted, logits, labels).item() == pytest.approx(explicit(logits, labels, of_sample), rel=1e-6)
    kept = labels >= 0
    outputs = torch.softmax(logits[kept], 1) if of == "probabilities" else logits[kept]
    reference = 4 * of_torch()(outputs, one_hot(labels)[kept].double())
    torch.testing.assert_close(loss_of(part(LABELS, CLASSES, of=of), logits, labels), reference)


def test_weighted_logits_are_those_of_torch_after_the_factor():
    logits, labels = batch()
    logits.requires_grad_()
    criterion = cross_entropy(LABELS, CLASSES, smoothing=0.1, logit_weights={"cat": 0.5, "owl": 2.0})
    factors = torch.tensor([0.5, 1.0, 1.0, 2.0], dtype=torch.float64)
    reference = nn.CrossEntropyLoss(ignore_index=-1, label_smoothing=0.1)(logits * factors, labels)
    ours = loss_of(criterion, logits, labels)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (ours, reference)))
    assert not torch.allclose(ours, loss_of(cross_entropy(LABELS, CLASSES, smoothing=0.1), logits, labels))
    assert criterion.to(torch.device("cpu")).logit_weights.tolist() == factors.tolist()


def test_a_logit_weight_for_an_unknown_class_says_which_option():
    with pytest.raises(ConfigError, match=r"loss\.logit_weights: there is no class 'hem'. Did you mean 'hen'"):
        cross_entropy(LABELS, CLASSES, logit_weights={"hem": 2.0})


@pytest.mark.parametrize("part", PARTS)
def test_exactly_the_losses_that_are_least_at_the_mixture_itself_take_soft_targets(part):
    criterion, shares = part(LABELS, CLASSES), torch.tensor([0.6, 0.3, 0.1, 0.0], dtype=torch.float64)
    logits = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        losses = criterion.losses(logits.expand(4, 4), torch.arange(4))
        (losses * shares).sum().backward()
        optimizer.step()
    chances = logits.sigmoid() if part is binary_cross_entropy else logits.softmax(dim=1)
    assert criterion.takes_soft_targets == torch.allclose(chances.detach()[0], shares, atol=0.02)


def test_the_weights_are_shown_all_of_a_few_classes_and_the_extremes_of_many():
    assert shown(torch.tensor([0.5, 2.0]), ["cat", "dog"]) == "cat 0.5, dog 2"
    many = shown(torch.arange(1, 13) / 4, [f"c{index}" for index in range(12)])
    assert many == "12 classes, from c0 0.25 to c11 3"


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
