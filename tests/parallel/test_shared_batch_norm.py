"""Batch norm over several processes, beside torch's own over the whole batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from several import together
from torch import Tensor, nn

from trainer.parallel.batch_norm import SharedBatchNorm, share_norms
from trainer.parallel.place import Place

SIZE, IMAGES = 3, 7


def passed(norm: nn.Module, images: Tensor, wanted: Tensor) -> list[Tensor]:
    """What two steps give out, their gradients, and the running figures after them."""
    found = []
    for _ in range(2):
        leaf = images.clone().requires_grad_()
        out = norm(leaf)
        norm.zero_grad()
        (out * wanted).sum().backward()
        found += [out.detach(), leaf.grad, *(each.grad.clone() for each in norm.parameters())]
    return [*found, *norm.buffers()]


@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}], ids=str
)
def test_it_gives_what_batch_norm_gives_of_the_whole_batch(options: dict[str, bool], tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, wanted = 3 + 2 * torch.randn(IMAGES, 4, 5, 6), torch.randn(IMAGES, 4, 5, 6)
    layer = nn.BatchNorm2d(4, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.5, 2)

    def work(rank: int) -> None:
        dist.init_process_group("gloo", init_method="env://")
        own = Place(rank, SIZE, rank, SIZE).share(IMAGES)
        share_norms(layer)
        assert type(layer) is SharedBatchNorm
        torch.save(passed(layer, images[own], wanted[own]), tmp_path / f"{rank}.pt")

    together(SIZE, work, tmp_path)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(SIZE)]
    whole = passed(layer.double(), images.double(), wanted.double())
    for expected, *shares in zip(whole, *parts, strict=True):
        if expected.shape == images.shape:
            found = torch.cat(shares)
        elif expected.shape == (4,) and not any(torch.equal(shares[0], each) for each in shares[1:]):
            found = torch.stack(shares).sum(0)  # each rank's part of the gradient of weight or bias
        else:
            found = shares[0]
        torch.testing.assert_close(found.double(), expected.double(), rtol=3e-6, atol=3e-6)


def test_it_keeps_its_names_and_weights_and_is_plain_in_evaluation() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(5)).eval()
    images, before = torch.randn(2, 3, 5, 5), list(model.state_dict())
    expected = model(images)
    share_norms(model)
    assert list(model.state_dict()) == before and torch.equal(model(images), expected)
