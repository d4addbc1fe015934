"""The small CNN's shapes."""

import pytest
import torch
from torch import nn

from trainer.errors import ConfigError
from trainer.model.small_cnn import small_cnn


def test_each_width_after_the_first_halves_the_image() -> None:
    model, x, shapes = small_cnn(10, 3, widths=[8, 16, 24], depth=2), torch.zeros(2, 3, 32, 32), []
    for stage in model.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 32, 32), (16, 16, 16), (24, 8, 8), (10,)]


def test_depth_counts_the_convolutions_of_a_stage() -> None:
    model = small_cnn(10, 1, widths=[8, 16], depth=3)
    counts = [sum(isinstance(layer, nn.Conv2d) for layer in stage.modules()) for stage in model.stages]
    assert counts == [1, 3, 0]


def test_parameters_are_as_many_as_by_hand() -> None:
    by_hand = 9 * 1 * 8 + 2 * 8 + 9 * 8 * 16 + 2 * 16 + 9 * 16 * 16 + 2 * 16 + 16 * 10 + 10
    assert sum(parameter.numel() for parameter in small_cnn(10, 1, widths=[8, 16], depth=2).parameters()) == by_hand


def test_the_default_works_from_eight_pixels_up() -> None:
    assert small_cnn(10, 1).eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_an_image_that_would_vanish_is_refused_with_the_smallest_size() -> None:
    model = small_cnn(10, 1, widths=[4, 4, 4, 4]).eval()
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    with pytest.raises(ConfigError, match="7x9 pixels vanish after 3 halvings; it takes 8 and more"):
        model(torch.zeros(1, 1, 7, 9))


def test_no_widths_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="widths is empty"):
        small_cnn(10, 1, widths=[])


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model, images = small_cnn(10, 1, widths=[8], dropout=0.5), torch.randn(4, 1, 8, 8)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))
