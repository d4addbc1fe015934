"""The check of a model before a run."""

import pytest
import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.model.small_cnn import small_cnn
from trainer.model.staged import Chain, Staged, check


class Forgetful(Staged):
    """Leaves its head out of its stages."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits

    @property
    def stages(self) -> list[nn.Module]:
        return [self.body]


def test_a_stage_list_that_forgets_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="exactly once"):
        check(Forgetful(), torch.zeros(2, 4), num_classes=2)


def test_a_model_without_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has no `stages`"):
        check(nn.Linear(4, 2), torch.zeros(2, 4), num_classes=2)


def test_logits_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"gives \(2, 3\) for 2 images of 4 classes"):
        check(small_cnn(3, 1), torch.zeros(2, 1, 16, 16), num_classes=4)


def test_images_that_vanish_in_a_foreign_net_are_named_by_their_size() -> None:
    net = Chain(body=nn.Conv2d(1, 2, kernel_size=9), head=nn.Flatten())
    with pytest.raises(ConfigError, match=r"cannot take images of 4x6 pixels .*data\.size"):
        check(net.train(), torch.zeros(2, 1, 4, 6), num_classes=2)
    assert net.training


@pytest.mark.parametrize("said", ["CUBLAS_STATUS_ALLOC_FAILED", "an illegal memory access was encountered"])
def test_a_gpu_that_fails_is_not_taken_for_a_wrong_size(said: str) -> None:
    class Failing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError(f"CUDA error: {said}")

    with pytest.raises(RuntimeError, match=said):
        check(Chain(head=Failing(4, 2)), torch.zeros(2, 4), num_classes=2)
