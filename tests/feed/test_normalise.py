"""Normalisations against their formulas, filters against Pillow and torchvision, and one rule for all stores."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image, ImageFilter
from shared import TINY, open_store
from torch import Tensor

from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main
from trainer.config import conf_folder
from trainer.data.denoise import denoise, denoised
from trainer.data.glyphs import glyphs
from trainer.data.source import ArraySamples, Subset
from trainer.feed import normalise
from trainer.size import square


def job_of(*words: str) -> Job:
    return build(compose([*TINY, "aug=none", "workers=0", *words], Origin(conf_folder())), lambda *_: None)


def training_pixels(job: Job) -> Tensor:
    """(N, C, H, W) float64 in [0, 1]."""
    return next(job.batches.store.gather([torch.arange(len(job.batches.store))])).double() / 255


def by_formula(method: str, pixels: Tensor) -> Tensor:
    mean, std = pixels.mean((0, 2, 3), keepdim=True), pixels.std((0, 2, 3), keepdim=True, correction=0)
    imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64)[:, None, :, None, None]
    return {
        "none": pixels,
        "mean": pixels - mean,
        "mean_image": pixels - pixels.mean(0, keepdim=True),
        "mean_std": (pixels - mean) / std,
        "imagenet": (pixels - imagenet[0]) / imagenet[1],
    }[method]


@pytest.mark.parametrize("method", ["none", "mean", "mean_image", "mean_std", "imagenet"])
def test_what_the_model_sees_is_the_formula_of_the_training_images(method: str) -> None:
    job = job_of(f"data.normalise={method}")
    expected = by_formula(method, training_pixels(job))
    for batch in job.batches.epoch(0):
        torch.testing.assert_close(batch.images.double(), expected[batch.indices], atol=2e-6, rtol=0)
    seen = torch.cat([batch.images for batch in job.batches.epoch(0)])
    torch.testing.assert_close(
        job.normalisation.undone(seen).clamp(0, 1), job.normalisation.undone(seen), atol=1e-5, rtol=0
    )
    others = {"none", "mean", "mean_image", "mean_std", "imagenet"} - {method}
    for other in others:  # the control: no two are the same
        assert (by_formula(other, training_pixels(job)) - expected).abs().max() > 0.01


def test_given_figures_are_what_is_subtracted_and_divided_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "_counted", None)  # nothing is measured
    job = job_of("data.mean=[0.4,0.5,0.6]", "data.std=[0.2,0.3,1]")
    mean, std = torch.tensor([[0.4, 0.5, 0.6], [0.2, 0.3, 1.0]], dtype=torch.float64)[:, :, None, None]
    expected = (training_pixels(job) - mean) / std
    for batch in job.batches.epoch(0):
        torch.testing.assert_close(batch.images.double(), expected[batch.indices], atol=2e-6, rtol=0)


def test_where_no_figures_are_given_auto_is_mean_std_bit_for_bit() -> None:
    auto, said = (next(iter(job_of(*words).batches.epoch(0))) for words in ((), ("data.normalise=mean_std",)))
    assert torch.equal(auto.images, said.images)


def test_validation_is_normalised_with_the_training_images_figures() -> None:
    job = job_of("data.normalise=mean_image")
    mean = training_pixels(job).mean(0)
    stored = next(job.val_batches.store.gather([torch.arange(len(job.val_batches.store))])).double() / 255
    (batch,) = list(job.val_batches)
    torch.testing.assert_close(batch.images.double(), stored - mean, atol=2e-6, rtol=0)


def test_a_mean_image_larger_than_the_input_is_resized_as_images_are() -> None:
    pixels = torch.randint(0, 256, (8, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    store = open_store(ArraySamples(pixels, torch.zeros(8), list("abcdefgh")), cache="ram", workers=0)
    expected = tv.resize(pixels.double().mean(0) / 255, [16, 16], antialias=True)
    torch.testing.assert_close(normalise.mean_image(store, square(16)).double(), expected, atol=1e-6, rtol=0)


def test_figures_of_three_channels_do_not_fit_grey_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "data.normalise=imagenet", "data.grey=true"]) == 2
    assert "its figures are for three channels. Use mean_std" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mean_std", "mean_image"])
@pytest.mark.parametrize("most", [2**28, 12 * 12 * 3 * 30])
def test_every_store_gives_the_same_batches_bit_for_bit(
    method: str, most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Also where the figures come from a sample: it must not depend on whether the images lie in memory."""
    monkeypatch.setattr(normalise, "_MOST_VALUES", most)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, *others = (
        list(job_of(f"data.cache={cache}", f"data.normalise={method}", "aug=light").batches.epoch(1))
        for cache in ("ram", "none", "disk", "auto")
    )
    for other in others:
        assert all(torch.equal(one.images, two.images) for one, two in zip(first, other, strict=True))


def test_few_images_are_all_counted_and_many_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(glyphs(images=100, size=12).train, cache="ram", workers=0)
    whole, _ = normalise.mean_and_std(store)
    monkeypatch.setattr(normalise, "_MOST_VALUES", 12 * 12 * 3 * 40)
    sample, _ = normalise.mean_and_std(store)
    assert (whole != sample).all() and (whole - sample).abs().max() < 0.1


def noisy(seed: int = 0, shape: Sequence[int] = (2, 3, 17, 23)) -> Tensor:
    return torch.randint(0, 256, tuple(shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_median_is_pillows() -> None:
    images = noisy()
    for image, filtered in zip(images, denoise(images, "median"), strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).filter(ImageFilter.MedianFilter(3))
        assert torch.equal(filtered.permute(1, 2, 0), torch.from_numpy(np.array(picture)))


def test_gaussian_is_torchvisions_inside_the_edge() -> None:
    images = noisy()
    expected = tv.gaussian_blur(images.double(), [5, 5], [1.0, 1.0]).round()
    ours = denoise(images, "gaussian").double()
    assert ((ours - expected)[..., 2:-2, 2:-2].abs() <= 1).all()
    assert ((ours - expected)[..., 2:-2, 2:-2] == 0).double().mean() > 0.99


def test_bilateral_is_the_double_sum_of_its_paper() -> None:
    image = noisy(shape=(1, 1, 9, 8))
    filtered, values = denoise(image, "bilateral")[0, 0], image[0, 0].double()
    padded = np.pad(values.numpy(), 2, mode="edge")
    for y in range(9):
        for x in range(8):
            total = weights = 0.0
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    value = padded[y + dy + 2, x + dx + 2]
                    weight = np.exp(-(dx**2 + dy**2) / 2) * np.exp(-((value - values[y, x].item()) ** 2) / (2 * 25**2))
                    total, weights = total + weight * value, weights + weight
            assert abs(int(filtered[y, x]) - total / weights) <= 0.51


def test_filters_take_noise_away_and_only_the_bilateral_and_median_keep_an_edge() -> None:
    edge = torch.full((1, 1, 16, 16), 50.0)
    edge[..., 8:] = 200
    speckled = (edge + 8 * torch.randn(edge.shape, generator=torch.Generator().manual_seed(0))).round().to(torch.uint8)
    for method in ("median", "gaussian", "bilateral"):
        smooth = denoise(speckled, method).float()
        assert (smooth - edge)[..., 2:6].std() < 0.6 * (speckled - edge)[..., 2:6].std()
        contrast = (smooth[..., 8] - smooth[..., 7]).mean()
        assert (contrast > 130) == (method != "gaussian")


@pytest.mark.parametrize("method", ["median", "gaussian", "bilateral"])
def test_arrays_and_drawn_images_are_filtered_alike(method: str) -> None:
    drawn = glyphs(images=20, size=12, val="test").train
    pixels = next(open_store(drawn, cache="ram", workers=0).gather([torch.arange(20)]))
    arrays = denoised(ArraySamples(pixels, drawn.labels, drawn.keys), method)
    lazily = denoised(drawn, method)
    for index in range(20):
        assert torch.equal(arrays.image(index), lazily.image(index))
        assert not torch.equal(lazily.image(index), drawn.image(index))
    assert lazily.digest() != drawn.digest() and isinstance(arrays, ArraySamples)


def test_every_part_of_a_set_is_filtered() -> None:
    plain, source = glyphs(images=20, size=12), glyphs(images=20, size=12, denoise="median")
    assert plain.test is not None and source.test is not None
    for before, after in ((plain.train, source.train), (plain.val, source.val), (plain.test, source.test)):
        assert torch.equal(after.image(0), denoise(before.image(0)[None], "median")[0])
    assert isinstance(source.train, Subset)
