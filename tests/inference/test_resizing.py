"""Pictures prepared within a graph, beside Pillow, which shares no code with it."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.data.decode import Frame, framed
from trainer.feed.normalise import Normalisation
from trainer.feed.preprocessing import Preprocessing
from trainer.inference.export.preparing import Prepared
from trainer.inference.export.resizing import Fitted
from trainer.size import Size, square

METHODS, FITS = ("nearest", "bilinear", "bicubic", "lanczos"), ("crop", "squish", "pad")
WAYS = [*product(METHODS, FITS, [1]), *product(METHODS, ("crop", "squish"), [0.875, 0.3])]
ODD = [(40, 50), (37, 33), (33, 80), (301, 200), (90, 30), (9, 7), (1, 1), (1, 9), (9, 1), (200, 3)]
Levels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def noise(height: int, width: int, seed: int = 0) -> Levels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def apart(image: Levels, frame: Frame) -> torch.Tensor:
    """Levels between what the graph makes of a picture and what Pillow makes of it."""
    fitted = Fitted(frame)(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0]
    return (fitted - framed(Image.fromarray(image), "the image", frame).float()).abs()


@pytest.mark.parametrize(("resize", "fit", "share"), WAYS)
def test_a_picture_of_odd_size_is_fitted_as_pillow_fits_it(resize: str, fit: str, share: float) -> None:
    for size, (height, width) in product((square(12), square(32), Size(12, 30), Size(24, 16)), ODD):
        levels = apart(noise(height, width), Frame(size, False, resize, fit, share))  # type: ignore[arg-type]
        assert levels.max() <= (0 if resize == "nearest" else 1)
        assert (levels > 0).float().mean() < 0.1  # rounded; with the sides taken in the other order it is a quarter


@settings(deadline=None, max_examples=60)
@given(
    sides=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    size=st.builds(Size, st.integers(1, 40), st.integers(1, 40)),
    resize=st.sampled_from(METHODS),
    fit=st.sampled_from(FITS),
    share=st.floats(0.05, 1),
)
def test_any_size_comes_within_a_level_of_pillow(
    sides: tuple[int, int], size: Size, resize: str, fit: str, share: float
) -> None:
    frame = Frame(size, False, resize, fit, 1 if fit == "pad" else share)  # type: ignore[arg-type]
    levels = apart(noise(*sides, seed=size.height), frame)
    assert levels.max() <= (0 if resize == "nearest" else 1)


def test_the_control_sees_a_picture_fitted_in_another_way() -> None:
    crop, squish = (Fitted(Frame(square(12), fit=fit)) for fit in ("crop", "squish"))  # type: ignore[arg-type]
    image = torch.from_numpy(noise(20, 40)).permute(2, 0, 1)[None].float()
    assert (crop(image) - squish(image)).abs().max() > 1


FIGURES = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
PREPARED: dict[str, Callable[[], Preprocessing]] = {
    "colour": lambda: Preprocessing(Frame(square(16)), square(16), FIGURES),
    "grey": lambda: Preprocessing(Frame(square(16), True, "lanczos", "pad"), square(16), Normalisation((0.4,), (0.2,))),
    "a share": lambda: Preprocessing(Frame(square(16), resize="bicubic", crop_share=0.875), square(16), FIGURES),
    "resized again": lambda: Preprocessing(Frame(square(20)), square(16), FIGURES),
    "a rectangle": lambda: Preprocessing(Frame(Size(20, 30)), Size(16, 24), FIGURES),
    "a rectangle's mean image": lambda: Preprocessing(
        Frame(Size(12, 20), fit="pad"), Size(12, 20), Normalisation((0.0,) * 3, (1.0,) * 3, torch.rand(3, 12, 20))
    ),
    "mean image": lambda: Preprocessing(
        Frame(square(16)), square(16), Normalisation((0.0,) * 3, (1.0,) * 3, torch.rand(3, 16, 16))
    ),
    "median": lambda: Preprocessing(Frame(square(16)), square(16), FIGURES, denoise="median"),
    "gaussian": lambda: Preprocessing(Frame(square(16), resize="bicubic"), square(16), FIGURES, denoise="gaussian"),
    "bilateral": lambda: Preprocessing(Frame(square(16), fit="squish"), square(16), FIGURES, denoise="bilateral"),
}


@pytest.mark.parametrize("name", PREPARED)
def test_what_the_graph_gives_is_what_the_model_sees(name: str) -> None:
    preprocessing = PREPARED[name]()
    transform = preprocessing.transform(device=torch.device("cpu"))
    level = 1 / 255 / min(preprocessing.normalisation.std)
    for height, width in [(40, 50), (33, 80), (64, 48), (9, 30)]:
        image = noise(height, width)
        seen = transform(preprocessing.prepared(image)[None])
        given = Prepared(preprocessing)(torch.from_numpy(image)[None])
        assert (given - seen).abs().max() <= (2.01 if name == "bilateral" else 1.01) * level  # it weighs by levels
        assert ((given - seen).abs() > 1e-6).float().mean() < 0.1
