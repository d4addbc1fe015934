"""Mixup and cutmix: pixels and labels against loops over samples, and shares against Beta's own formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from trainer.aug.custom import custom
from trainer.aug.mixing import Mixer, beta, blend, cutmix, mixup, partners
from trainer.data.source import ArraySamples
from trainer.feed.batches import TrainBatches
from trainer.feed.store import ResidentStore, StreamedStore
from trainer.loss.criterion import reduce
from trainer.registry import LOSSES
from trainer.rng import Draws
from trainer.size import Size, square

CPU = torch.device("cpu")
KINDS = {"mixup": (mixup(0.4),), "cutmix": (cutmix(1.0),), "both": (mixup(0.4), cutmix(1.0))}


def draws_of(batch, epoch=0):
    return Draws(0, epoch, torch.arange(batch))


def tracers(batch, size=12):
    """(batch, batch, size, size): sample i is 1 in channel i alone, so that a mixture shows who gave how much where."""
    return torch.eye(batch)[:, :, None, None].expand(-1, -1, size, size).clone()


UNIFORM = torch.arange(0.5, 4000, dtype=torch.float64) / 4000


@pytest.mark.parametrize(
    ("concentration", "distribution"),
    [
        (0.5, lambda x: 2 / math.pi * torch.asin(x.sqrt())),  # the arcsine law
        (1.0, lambda x: x),
        (2.0, lambda x: 3 * x**2 - 2 * x**3),
        (3.0, lambda x: 10 * x**3 - 15 * x**4 + 6 * x**5),
    ],
)
def test_beta_is_its_distribution_function_read_backwards(concentration, distribution):
    places = beta(concentration)(UNIFORM)
    assert (places.diff() > 0).all()
    torch.testing.assert_close(distribution(places), UNIFORM, rtol=0, atol=2e-6)


@pytest.mark.parametrize("concentration", [0.05, 0.2, 0.4, 0.8, 1.5, 8.0, 300.0])
def test_beta_has_the_mean_variance_and_quantiles_of_torch(concentration):
    places = beta(concentration)(UNIFORM)
    variance = 1 / (4 * (2 * concentration + 1))
    assert places.mean().item() == pytest.approx(0.5, abs=1e-6)
    assert places.var(correction=0).item() == pytest.approx(variance, rel=5e-3)
    torch.manual_seed(0)
    sampled = torch.distributions.Beta(*(torch.tensor(concentration, dtype=torch.float64),) * 2).sample((200_000,))
    shares = torch.tensor([0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9], dtype=torch.float64)
    below = torch.stack([(sampled <= place).double().mean() for place in places[(shares * 4000).long()]])
    torch.testing.assert_close(below, shares, rtol=0, atol=0.005)


@given(st.floats(1e-3, 1e4), st.floats(0, 1, exclude_max=True))
def test_beta_stays_in_its_range_for_every_concentration(concentration, uniform):
    place = float(beta(concentration)(torch.tensor([uniform], dtype=torch.float64)))
    assert 0 <= place <= 1 and (place - 0.5) * (uniform - 0.5) >= 0


def test_mixup_keeps_the_larger_share():
    kept = mixup(0.4)(draws_of(20_000), square(8), CPU)
    assert kept.shape == (20_000, 1, 1, 1) and kept.min() >= 0.5 and kept.max() <= 1
    sampled = torch.distributions.Beta(0.4, 0.4).sample((200_000,))
    larger = torch.maximum(sampled, 1 - sampled)
    assert kept.mean().item() == pytest.approx(larger.mean().item(), abs=0.005)
    assert kept.std().item() == pytest.approx(larger.std().item(), abs=0.005)


def test_cutmix_replaces_a_square_cut_off_at_the_edges_by_the_rule_of_its_paper():
    size, draws = 40, draws_of(300)
    kept = cutmix(1.0)(draws, square(size), CPU)
    area, x, y = (draws.uniform(f"aug.cutmix.{name}").tolist() for name in ("area", "x", "y"))
    for row in range(300):
        side = math.sqrt(area[row]) * size  # the share that is cut out is uniform under Beta(1, 1)
        for pixel in range(0, size * size, 37):
            down, across = pixel // size + 0.5, pixel % size + 0.5
            distance = max(abs(across - x[row] * size), abs(down - y[row] * size)) - side / 2
            if abs(distance) > 1e-3:
                assert kept[row, 0, pixel // size, pixel % size] == float(distance > 0)
    # With a = s^2 uniform, the edges leave (s - s^2 / 4)^2 of a square: 1/2 - 1/5 + 1/48 on average.
    assert kept.mean().item() == pytest.approx(0.679, abs=0.03)


@given(st.integers(2, 40), st.integers(0, 50), st.randoms(use_true_random=False))
def test_everybody_has_another_as_partner_whatever_the_order_of_the_batch(batch, epoch, random):
    samples = torch.arange(100, 100 + batch)
    partner = partners(Draws(0, epoch, samples))
    assert sorted(partner.tolist()) == list(range(batch)) and (partner != torch.arange(batch)).all()
    order = torch.tensor(random.sample(range(batch), batch))
    shuffled = partners(Draws(0, epoch, samples[order]))
    assert torch.equal(samples[order][shuffled], samples[partner][order])


def test_partners_change_from_epoch_to_epoch():
    assert not torch.equal(partners(draws_of(30, 0)), partners(draws_of(30, 1)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_and_labels_are_mixed_as_a_loop_over_samples_mixes_them(kind, layout):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(10, 3, 12, 12, generator=generator).to(memory_format=layout)
    targets = torch.randn(10, 4, generator=generator)
    keep, partner = Mixer(KINDS[kind], 4)._keep(draws_of(10), square(12), CPU), partners(draws_of(10))
    seen, soft = blend(images, targets, keep, partner)
    assert seen.is_contiguous(memory_format=layout)
    for row in range(10):
        other, kept = int(partner[row]), keep[row].double().expand(1, 12, 12)
        share = float(kept.sum()) / 144
        pixels = kept * images[row].double() + (1 - kept) * images[other].double()
        torch.testing.assert_close(seen[row].double(), pixels, rtol=0, atol=1e-6)
        labels = share * targets[row].double() + (1 - share) * targets[other].double()
        torch.testing.assert_close(soft[row].double(), labels, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_says_how_much_of_the_picture_each_sample_gave(kind):
    batch = 24
    seen, targets = Mixer(KINDS[kind], batch)(tracers(batch), torch.arange(batch), draws_of(batch))
    torch.testing.assert_close(targets, seen.mean(dim=(2, 3)), rtol=0, atol=1e-5)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(batch))
    assert ((targets > 0).sum(dim=1) <= 2).all() and (targets.diagonal() < 0.9).sum() > 3


def test_with_both_about_as_many_samples_are_cut_as_are_blended():
    batch = 400
    kept = Mixer(KINDS["both"], 2)._keep(draws_of(batch), square(8), CPU)
    cut = ((kept == 0) | (kept == 1)).flatten(1).all(dim=1)
    assert cut.double().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (kept.flatten(1).std(dim=1)[~cut] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_without_a_label_is_neither_mixed_nor_mixed_in(kind):
    batch = 24
    labels = torch.arange(batch)
    labels[::3] = -1
    images = tracers(batch)
    seen, targets = Mixer(KINDS[kind], batch)(images, labels, draws_of(batch))
    assert torch.equal(seen[::3], images[::3]) and not targets[::3].any()
    assert not seen[:, ::3].any(dim=(2, 3))[labels >= 0].any()
    torch.testing.assert_close(targets[labels >= 0], seen.mean(dim=(2, 3))[labels >= 0], rtol=0, atol=1e-5)
    assert (targets[labels >= 0].amax(dim=1) < 0.9).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_batch_with_smoothing_weights_and_missing_labels_costs_what_a_loop_says(kind):
    """The two losses of a pair are combined before the mean, each by torch's own cross-entropy on one sample."""
    generator, batch, classes = torch.Generator().manual_seed(1), 16, 5
    labels = torch.randint(-1, classes, (batch,), generator=generator)
    logits = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    draws = draws_of(batch)
    names = list("abcde")
    weights = {"a": 0.5, "b": 3.0, "e": 2.0}
    criterion = LOSSES.builder("cross_entropy")(labels, names, smoothing=0.1, class_weights=weights)
    _, targets = Mixer(KINDS[kind], classes)(torch.zeros(batch, 3, 12, 12), labels, draws)
    ours = reduce(criterion.losses(logits, targets).sum(), criterion.weights(targets).sum())

    weight = torch.tensor([weights.get(name, 1.0) for name in names], dtype=torch.float64)
    keep, partner = Mixer(KINDS[kind], classes)._keep(draws, square(12), CPU), partners(draws)
    total = total_weight = 0.0
    for row in range(batch):
        first, second = int(labels[row]), int(labels[partner[row]])
        if first < 0:
            continue
        share = 1.0 if second < 0 else float(keep[row].double().mean())
        for label, part in ((first, share), (second, 1 - share)):
            if part > 0:
                one = torch.tensor([label])
                kwargs = {"weight": weight, "label_smoothing": 0.1, "reduction": "sum"}
                total += part * float(cross_entropy(logits[row : row + 1], one, **kwargs))
                total_weight += part * float(weight[label])
    assert (labels < 0).any() and float(ours) == pytest.approx(total / total_weight, rel=1e-5)


def store(streamed=False):
    pixels = torch.randint(0, 256, (40, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    samples = ArraySamples(pixels, torch.arange(40) % 4, [str(each) for each in range(40)])
    if streamed:
        return StreamedStore(samples, samples.labels, samples.keys, 0)
    return ResidentStore(samples.labels, samples.keys, pixels.numpy(), torch.arange(40))


def batches(policy, **options):
    return TrainBatches(
        store(**options),
        batch_size=8,
        seed=3,
        upload=lambda tensor: tensor,
        transform=lambda images, draws: images.float() / 255,
        item=policy.item,
        mix=Mixer(policy.mix, 4) if policy.mix else None,
    )


def test_batches_carry_labels_for_the_accuracy_and_soft_targets_for_the_loss():
    mixed, plain = batches(custom(mixup=1.0)), batches(custom())
    for ours, theirs in zip(mixed.epoch(1), plain.epoch(1), strict=True):
        assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.indices, theirs.indices)
        assert ours.targets.shape == (8, 4) and torch.equal(ours.targets.argmax(dim=1), ours.labels)
        assert torch.equal(theirs.targets, theirs.labels) and not torch.equal(ours.images, theirs.images)


def test_an_epoch_gone_on_with_mixes_the_same_pairs():
    whole = list(batches(custom(mixup=0.2, cutmix=1.0)).epoch(2))
    rest = list(batches(custom(mixup=0.2, cutmix=1.0), streamed=True).epoch(2, start=3))
    assert len(whole) == 5 and len(rest) == 2
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert torch.equal(ours.images, theirs.images) and torch.equal(ours.targets, theirs.targets)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_half_precision_are_mixed_as_those_in_full(kind):
    images = torch.randn(16, 3, 12, 12, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels, mixer = torch.arange(16) % 5, Mixer(KINDS[kind], 5)
    half, targets = mixer(images, labels, draws_of(16))
    full, same_targets = mixer(images.float(), labels, draws_of(16))
    assert half.dtype == torch.bfloat16 and torch.equal(targets, same_targets)
    torch.testing.assert_close(half.float(), full, rtol=0.01, atol=0.02)
    assert not torch.allclose(half.float(), images.float(), atol=0.5)


def test_a_batch_of_one_stays_as_it_is():
    images = tracers(1)
    seen, targets = Mixer(KINDS["both"], 3)(images, torch.tensor([2]), draws_of(1))
    torch.testing.assert_close(seen, images)
    torch.testing.assert_close(targets, torch.tensor([[0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("size", [Size(24, 40), Size(50, 20)])
def test_cutmix_replaces_the_share_of_a_rectangle_that_its_label_tells(size):
    draws, classes = draws_of(200), torch.arange(200)
    numbered = torch.arange(200.0)[:, None, None, None].expand(-1, 1, *size)  # each image is its own number all over
    seen, targets = Mixer((cutmix(1.0),), 200)(numbered, classes, draws)
    replaced = (seen != numbered).double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(1 - targets[classes, classes].double(), replaced, rtol=0, atol=1e-6)
    area, x, y = (draws.uniform(f"aug.cutmix.{name}").double() for name in ("area", "x", "y"))
    half = area.sqrt() / 2
    whole = (torch.minimum(x, y) > half) & (torch.maximum(x, y) < 1 - half)  # not cut off at an edge
    assert whole.sum() > 20
    apart = (replaced - area)[whole].abs()
    assert (apart <= (half * 2)[whole] * (1 / size.height + 1 / size.width) + 1 / math.prod(size)).all()
