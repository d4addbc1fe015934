"""Training and validation see the same pictures: bit for bit where an image stays in place, else as sharp."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import Ended, lines_of
from torch import Tensor

from trainer.aug import geometry
from trainer.aug.custom import custom
from trainer.aug.none import none
from trainer.aug.policy import GeometryMap, Policy
from trainer.aug.sampling import blend_steps, blended
from trainer.aug.transform import Transform
from trainer.data.decode import Frame, framed
from trainer.rng import Draws
from trainer.size import PlainSize, Size, size_of, square

SIZE, NUM_PICTURES = 64, 24
TURNED = custom(rotate=10.0, zoom=1.1, shift=0.06)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def transform(policy: Policy, size: PlainSize, channels: int = 3, **options: object) -> Transform:
    return Transform(policy, size_of(size), (0.4,) * channels, (0.2,) * channels, **options)  # type: ignore[arg-type]


def fixed(*matrices: Tensor) -> GeometryMap:
    """The geometry in which sample n gets the n-th matrix."""
    return lambda draws, aspect: torch.stack(matrices)[draws.samples]


def mirroring(across: float, down: float) -> Tensor:
    return torch.diag(torch.tensor([across, down, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("kept", [20, 24, 25, 30, 36, 37, 60])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, {"channels_last": True, "dtype": torch.bfloat16}])
def test_an_image_that_stays_in_place_is_its_validation_image_bit_for_bit(
    kept: int, channels: int, options: dict[str, object]
) -> None:
    images, draws = noise(9, channels, kept, kept), Draws(0, 0, torch.arange(9))
    for policy in (none(), custom(flip=1.0), custom(flip=0.5), Policy(geometry=(fixed(*[mirroring(1, 1)] * 9),))):
        stage = transform(policy, 24, channels, **options)
        validated, trained = stage(images), stage(images, draws)
        for one, other in zip(validated, trained, strict=True):
            assert torch.equal(one, other) or (policy.geometry and torch.equal(one.flip(2), other))


@given(
    st.integers(4, 40),
    st.integers(4, 40),
    st.tuples(st.integers(4, 24), st.integers(4, 24)),
    st.lists(st.sampled_from([(1, 1), (-1, 1), (1, -1), (-1, -1), None]), min_size=1, max_size=5),
)
def test_mirrored_images_are_bit_for_bit_those_of_validation_whatever_lies_beside_them(
    height: int, width: int, size: tuple[int, int], signs: list[tuple[int, int] | None]
) -> None:
    turned = geometry.rotation(torch.tensor([9.0], dtype=torch.float64), width / height)[0]
    matrices = [turned if each is None else mirroring(*each) for each in signs]
    images, draws = noise(len(signs), 3, height, width), Draws(0, 0, torch.arange(len(signs)))
    stage = transform(Policy(geometry=(fixed(*matrices),)), size)
    validated, trained = stage(images), stage(images, draws)
    for index, each in enumerate(signs):
        if each is not None:
            axes = [axis for axis, sign in ((2, each[0]), (1, each[1])) if sign < 0]
            assert torch.equal(trained[index], validated[index].flip(axes))


def test_what_is_no_mirroring_is_warped() -> None:
    nearly = mirroring(1, 1) + torch.tensor([[0, 0, 1e-6], [0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    images, draws = noise(2, 3, 32, 32), Draws(0, 0, torch.arange(2))
    stage = transform(Policy(geometry=(fixed(mirroring(1, 1), nearly),)), 24)
    validated, trained = stage(images), stage(images, draws)
    assert torch.equal(validated[0], trained[0]) and not torch.equal(validated[1], trained[1])


def pictures(exponent: float) -> Iterator[Image.Image]:
    """Random pictures of 200 px whose amplitude falls with the frequency to this power: 1 as in nature, 0 as noise."""
    generator = torch.Generator().manual_seed(3)
    frequencies = torch.fft.fftfreq(200)
    radius = (frequencies[:, None] ** 2 + frequencies**2).sqrt()
    radius[0, 0] = torch.inf if exponent else 1.0
    for _ in range(NUM_PICTURES):
        spectrum = torch.fft.fft2(torch.randn(3, 200, 200, generator=generator)) / radius**exponent
        values = torch.fft.ifft2(spectrum).real
        values = (128 + 40 * values / values.std()).clamp(0, 255).round().to(torch.uint8)
        yield Image.fromarray(values.permute(1, 2, 0).numpy())


def kept_at(side: int, exponent: float) -> Tensor:
    return torch.stack([framed(picture, "", Frame(square(side))) for picture in pictures(exponent)])


def detail(images: Tensor) -> float:
    """The standard deviation of the Laplacian."""
    middle = images[..., 1:-1, 1:-1]
    around = images[..., :-2, 1:-1] + images[..., 2:, 1:-1] + images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    return float((4 * middle - around).std())


def spectrum(images: Tensor) -> Tensor:
    """The mean amplitude in each of eight bands of frequency, from the coarsest to the finest."""
    side = images.shape[-1]
    window = torch.hann_window(side, periodic=False)
    amplitudes = torch.fft.fft2((images - images.mean((2, 3), keepdim=True)) * window * window[:, None]).abs()
    frequencies = torch.fft.fftfreq(side)
    bands = (16 * (frequencies[:, None] ** 2 + frequencies**2).sqrt()).long()
    return torch.stack([amplitudes[..., bands == band].mean() for band in range(8)])


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [1.0, 0.0], ids=["natural", "noise"])
@pytest.mark.parametrize("kept", [64, 68, 72, 80, 88, 96, 128])
@pytest.mark.parametrize("policy", [TURNED, custom(shift=0.1)], ids=["turned", "shifted"])
def test_what_is_trained_has_the_spectrum_of_what_is_validated(policy: Policy, kept: int, exponent: float) -> None:
    images = kept_at(kept, exponent)
    stage = transform(policy, SIZE)
    validated, trained = stage(images), stage(images, Draws(0, 0, torch.arange(NUM_PICTURES)))
    ratios = spectrum(trained) / spectrum(validated)
    assert abs(float(ratios.mean()) - 1) < 0.05, ratios
    assert abs(detail(trained) / detail(validated) - 1) < (0.04 if exponent else 0.06)


def test_a_blend_is_the_convolution_in_double_precision() -> None:
    weights = torch.tensor([-11, 4, 11, -128, 120, 0], dtype=torch.int16)
    images = torch.cat([noise(3, 3, 17, 23), 255 * noise(3, 3, 17, 23).clamp(max=1)])
    cross = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.float64)
    around = F.pad(images.double(), (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    exact = F.conv2d(around, cross[None, None]).view(images.shape) + weights.double()[:, None, None, None] * images
    assert torch.equal(blended(images, weights).double(), exact)
    several = blended(torch.cat([images] * 40), torch.cat([weights] * 40))  # in several blocks
    assert torch.equal(several[-6:].double(), exact)


def test_an_image_as_large_as_it_is_seen_is_sharpened_and_a_larger_one_softened_the_more_the_larger() -> None:
    identity = mirroring(1, 1)[None]
    steps = [
        blend_steps(identity, (kept, kept), (kept, kept), square(128)).item() for kept in (128, 144, 160, 176, 192)
    ]
    assert steps == [-7, 25, 14, 11, 8]
    half, more = (mirroring(factor, factor)[None] for factor in (0.5, 1.2))
    magnified, shrunk = (blend_steps(each, (160, 160), (160, 160), square(128)).item() for each in (half, more))
    assert magnified < 0 and 8 <= shrunk < 14  # as if it had been kept at 80, and at 192


@given(
    st.lists(st.floats(-100, 100), min_size=8, max_size=8),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 200),
)
def test_any_map_of_any_image_has_a_blend_whose_sums_fit(
    values: list[float], height: int, width: int, size: int
) -> None:
    matrix, most = torch.tensor([*values, 1.0], dtype=torch.float64).view(1, 3, 3), int(1.5 * size)
    kept, source = (height, width), (max(1, min(height, most)), max(1, min(width, most)))
    steps = blend_steps(matrix, kept, source, square(size)).item()
    assert steps == int(steps) and (8 <= steps <= 124 or -124 <= steps <= -1)


def test_noise_that_is_told_apart_in_training_is_told_apart_in_validation(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for name, std in (("fine", 40), ("coarse", 50)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(60):
            pixels = generator.normal(128, std, (40, 40)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{index}.png")
    words = ["data=folder", f"data.root={tmp_path / 'set'}", "data.size=32", "data.grey=true", "data.val=0.3"]
    words += ["aug=custom", "aug.flip=0.5", "model=small_cnn", "model.widths=[8,16]", "epochs=6", "batch_size=16"]
    for prepare in ("null", "40"):
        ended = train(f"name=noise-{prepare}", f"data.prepare={prepare}", *words, "optim.lr=0.01", tiny=False)
        assert ended.code == 0, ended.err
        last = lines_of(tmp_path / "outputs" / f"noise-{prepare}" / "metrics.jsonl", "epoch")[-1]
        assert float(str(last["val_accuracy"])) > 0.9, prepare


def test_a_rectangle_is_sharpened_as_the_square_with_as_many_pixels() -> None:
    turned = geometry.rotation(torch.tensor([7.0], dtype=torch.float64), 1.0)
    for scale in (1, 1.25):
        of_square = blend_steps(turned, (round(80 * scale),) * 2, (round(80 * scale),) * 2, square(80))
        kept = (round(40 * scale), round(160 * scale))
        assert (blend_steps(turned, kept, kept, Size(40, 160)) - of_square).abs() <= 1  # of 14; with 128, of 9
