"""Several looks at one picture."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.inference.tta import prepared_size, probabilities
from trainer.size import Size, square
from trainer.task.single import SINGLE


def _from_the_left_edge(pixels: Tensor) -> Tensor:
    """Two logits that tell left from right: the mean of the first column, and of the last."""
    return torch.stack([pixels[..., 0].float().mean(dim=(1, 2)), pixels[..., -1].float().mean(dim=(1, 2))], dim=1) / 50


def _softmax(logits: list[float]) -> np.ndarray:
    powers = np.exp(np.array(logits))
    return powers / powers.sum()


@pytest.fixture
def picture() -> Tensor:
    return torch.arange(8, dtype=torch.uint8).mul(20).expand(1, 3, 8, 8).contiguous()  # columns of 0, 20, ... 140


def test_one_look_is_the_softmax_of_the_logits_over_the_temperature(picture: Tensor) -> None:
    found = probabilities(_from_the_left_edge, SINGLE, picture, square(8), "none", temperature=2.0)
    assert found == pytest.approx(_softmax([0.0, 1.4])[None])


def test_flip_is_the_mean_over_the_picture_and_its_mirror_image(picture: Tensor) -> None:
    found = probabilities(_from_the_left_edge, SINGLE, picture, square(8), "flip")
    assert found == pytest.approx((_softmax([0.0, 2.8]) + _softmax([2.8, 0.0]))[None] / 2)


def test_crops_are_the_centre_and_the_corners_each_mirrored_too() -> None:
    assert prepared_size(square(7), "crops") == square(8) and prepared_size(square(7), "flip") == square(7)
    large = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    seen: list[Tensor] = []

    def noted(pixels: Tensor) -> Tensor:
        seen.append(pixels)
        return torch.zeros(1, 2)

    probabilities(
        noted, SINGLE, large, square(6), "crops"
    )  # six of seven pixels: the picture is brought to 7 x 7 first
    assert [tuple(each.shape) for each in seen] == [(1, 1, 6, 6)] * 10
    seen.clear()
    probabilities(noted, SINGLE, large, square(7), "crops")
    corners = [each[0, 0, 0, 0].item() for each in seen[::2]]
    assert corners == [0, 0, 1, 8, 9]
    for look, mirrored in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(look.flip(-1), mirrored)


def test_an_answer_does_not_depend_on_the_pictures_beside_it(picture: Tensor) -> None:
    other = 255 - picture
    together = probabilities(_from_the_left_edge, SINGLE, torch.cat([picture, other]), square(8), "crops")
    assert together[0] == pytest.approx(
        probabilities(_from_the_left_edge, SINGLE, picture, square(8), "crops")[0], abs=1e-12
    )


def test_crops_of_a_rectangle_are_its_centre_and_its_corners() -> None:
    size, seen = Size(7, 14), list[Tensor]()
    assert prepared_size(size, "crops") == Size(8, 16)
    large = torch.arange(128, dtype=torch.uint8).view(1, 1, 8, 16)

    def noted(pixels: Tensor) -> Tensor:
        seen.append(pixels)
        return torch.zeros(1, 2)

    probabilities(noted, SINGLE, large, size, "crops")
    assert [tuple(each.shape[-2:]) for each in seen] == [size] * 10
    assert [each[0, 0, 0, 0].item() for each in seen[::2]] == [1, 0, 2, 16, 18]
